# Whole commands, from the genome to the files.

COMMAND_REGIONS = [config["command"]["regions"]]
CURVE = config["curves"]["regions"]


rule make_genome:
    output:
        genome="results/genome/genome.fa",
        index="results/genome/genome.fa.fai",
        regions=[in_genome(n) for n in sorted({*COMMAND_REGIONS, *CURVE["values"]})],
    log:
        "logs/make_genome.log",
    benchmark:
        "benchmarks/make_genome.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        size=config["command"]["genome"],
        regions=sorted({*COMMAND_REGIONS, *CURVE["values"]}),
        seed=config["seed"],
    script:
        "../scripts/make_genome.py"


rule time_command:
    input:
        program=f"results/networks/{config['command']['row']}.pt2",
        weights=f"results/networks/{config['command']['row']}.pt",
        seconds=f"results/rows/{config['command']['row']}.seconds.tsv",
        genome="results/genome/genome.fa",
        index="results/genome/genome.fa.fai",
        regions=[in_genome(n) for n in COMMAND_REGIONS],
    output:
        seconds="results/command/seconds.tsv",
    log:
        "logs/time_command.log",
    benchmark:
        "benchmarks/time_command.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: EVERYTHING
    params:
        row=ROWS[config["command"]["row"]],
        regions=COMMAND_REGIONS,
        peer_regions=max(COMMAND_REGIONS),
        precisions=list(config["command"]["wanted"]),
        rounds=config["command"]["rounds"],
        options=config["command"]["options"],
        compiled_on=config["command"]["compiled_on"],
        n_references=config["n_references"],
        device=config["device"],
        prefix="results/command/scores",
    script:
        "../scripts/time_command.py"


use rule time_command as time_regions with:
    input:
        program=f"results/networks/{CURVE['row']}.pt2",
        weights=f"results/networks/{CURVE['row']}.pt",
        seconds=f"results/rows/{CURVE['row']}.seconds.tsv",
        genome="results/genome/genome.fa",
        index="results/genome/genome.fa.fai",
        regions=[in_genome(n) for n in CURVE["values"]],
    output:
        seconds="results/curves/regions.tsv",
    log:
        "logs/time_regions.log",
    benchmark:
        "benchmarks/time_regions.tsv"
    params:
        row=ROWS[CURVE["row"]],
        regions=CURVE["values"],
        peer_regions=CURVE["peer_regions"],
        precisions=ROWS[CURVE["row"]]["precisions"],
        rounds=CURVE["rounds"],
        options=config["command"]["options"],
        compiled_on=config["command"]["compiled_on"],
        n_references=config["n_references"],
        device=config["device"],
        prefix="results/curves/scores",
