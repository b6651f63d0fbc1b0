# What a track of a given quality costs.


rule time_quality:
    input:
        program="results/networks/{row}.pt2",
        weights="results/networks/{row}.pt",
        seconds="results/rows/{row}.seconds.tsv",
    output:
        quality="results/quality/{row}.tsv",
    log:
        "logs/time_quality/{row}.log",
    benchmark:
        "benchmarks/time_quality/{row}.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: EVERYTHING
    params:
        row=row_of,
        quality=config["quality"],
        rounds=config["quality"]["rounds"],
        explainer=config["quality"]["explainer"],
        device=config["device"],
        seed=config["seed"],
    script:
        "../scripts/time_quality.py"
