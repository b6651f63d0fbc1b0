# The networks, trained enough for scores that mean something.


rule train_network:
    output:
        program="results/networks/{row}.pt2",
        weights="results/networks/{row}.pt",
        quality="results/networks/{row}.tsv",
    log:
        "logs/train_network/{row}.log",
    benchmark:
        "benchmarks/train_network/{row}.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        row=row_of,
        seed=config["seed"],
    script:
        "../scripts/train_network.py"
