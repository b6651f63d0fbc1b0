# The sequences, and the network that is trained on them.


rule simulate:
    input:
        motifs=workflow.source_path("../resources/motifs.tsv"),
    output:
        sequences="results/simulated/sequences.tsv",
        sites="results/simulated/sites.tsv",
        held_out="results/simulated/held_out.fa",
    log:
        "logs/simulate.log",
    benchmark:
        "benchmarks/simulate.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        simulation=config["simulation"],
        seed=config["seed"],
    script:
        "../scripts/simulate.py"


rule train:
    input:
        sequences="results/simulated/sequences.tsv",
    output:
        network="results/network/network.pt2",
        history="results/network/history.tsv",
    log:
        "logs/train.log",
    benchmark:
        "benchmarks/train.tsv"
    conda:
        "../envs/seqlift.yaml"
    # More would add up numbers in another order and so train a slightly different network.
    threads: 1
    params:
        training=config["training"],
        seed=config["seed"],
    script:
        "../scripts/train.py"


# Ends the run when the network has not learned its tasks.
rule evaluate:
    input:
        sequences="results/simulated/sequences.tsv",
        network="results/network/network.pt2",
    output:
        areas="results/network/auroc.tsv",
    log:
        "logs/evaluate.log",
    benchmark:
        "benchmarks/evaluate.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        least=config["training"]["least_auroc"],
    script:
        "../scripts/evaluate.py"
