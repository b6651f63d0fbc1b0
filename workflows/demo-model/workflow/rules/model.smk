# The model: trained on chromosomes 1 to 19, 21, 22 and X, tested on chromosome 20.


rule train:
    input:
        "results/training_set.npz",
    output:
        model=f"results/data/{MODEL}",
        history="results/history.tsv",
    log:
        "logs/train.log",
    conda:
        "../envs/seqlift.yaml"
    # More would add up numbers in another order and so train a slightly different model.
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        training=config["training"],
        quick=IS_QUICK,
        seed=config["seed"],
    script:
        "../scripts/train.py"


rule evaluate:
    input:
        model=f"results/data/{MODEL}",
        peaks="results/peaks.tsv",
        background="results/background.tsv",
    output:
        metrics="results/data/metrics.json",
        predictions="results/predictions.tsv",
    log:
        "logs/evaluate.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        factors=FACTORS,
        n_bootstraps=10 if IS_QUICK else config["bootstrap"],
        seed=config["seed"],
    script:
        "../scripts/evaluate.py"
