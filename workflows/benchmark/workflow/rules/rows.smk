# All tools on one network: in turn, where seqlift's time goes there, and along an axis.


rule time_row:
    input:
        program="results/networks/{row}.pt2",
        weights="results/networks/{row}.pt",
    output:
        seconds="results/rows/{row}.seconds.tsv",
        accuracy="results/rows/{row}.accuracy.tsv",
        profile="results/profiles/{row}.txt",
    log:
        "logs/time_row/{row}.log",
    benchmark:
        "benchmarks/time_row/{row}.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: EVERYTHING
    params:
        row=row_of,
        n_references=config["n_references"],
        rounds=config["rounds"],
        explainer=config["explainer"],
        device=config["device"],
        seed=config["seed"],
    script:
        "../scripts/time_row.py"


rule time_curve:
    input:
        program=f"results/networks/{config['curves']['row']}.pt2",
        weights=f"results/networks/{config['curves']['row']}.pt",
        seconds=f"results/rows/{config['curves']['row']}.seconds.tsv",
    output:
        curve="results/curves/{axis}.tsv",
    log:
        "logs/time_curve/{axis}.log",
    benchmark:
        "benchmarks/time_curve/{axis}.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: EVERYTHING
    params:
        row=ROWS[config["curves"]["row"]],
        values=lambda wildcards: config["curves"][wildcards.axis],
        sequences=config["curves"]["sequences"],
        rounds=config["curves"]["rounds"],
        n_references=config["n_references"],
        explainer=config["explainer"],
        device=config["device"],
        seed=config["seed"],
    script:
        "../scripts/time_curve.py"
