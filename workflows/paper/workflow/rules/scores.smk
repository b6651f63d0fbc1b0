# The scores of the held-out sequences by each method, for each task, through the command line.


# A network that has not learned its tasks is not explained: hence the areas.
rule score:
    input:
        network="results/network/network.pt2",
        areas="results/network/auroc.tsv",
        sequences="results/simulated/held_out.fa",
    output:
        scores=[f"results/scores/{{scored}}.{target}.h5" for target in TARGETS],
        regions="results/scores/{scored}.regions.tsv",
        summary="results/scores/{scored}.json",
    log:
        "logs/score/{scored}.log",
    benchmark:
        "benchmarks/score/{scored}.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: config["threads"]
    params:
        options=method_options,
        prefix=lambda wildcards, output: output.summary.removesuffix(".json"),
        targets=" ".join(f"--target {target}" for target in TARGETS),
        seed=config["seed"],
    shell:
        "seqlift score --model {input.network:q} --fasta {input.sequences:q} --output {params.prefix:q}"
        " {params.targets} {params.options} --seed {params.seed} --device cpu --threads {threads} 2> {log:q}"
