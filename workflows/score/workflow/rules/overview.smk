# All jobs at a glance.


localrules:
    summarise,


rule summarise:
    input:
        summaries=expand("results/scores/{job}.json", job=JOBS),
    output:
        table=report(
            "results/summary.tsv",
            caption="../report/summary.rst",
            category="Summary",
            labels={"table": "samples and targets"},
        ),
    log:
        "logs/summarise.log",
    benchmark:
        "benchmarks/summarise.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        jobs=list(JOBS.values()),
    script:
        "../scripts/summarise.py"
