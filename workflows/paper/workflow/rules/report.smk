# One page with everything.


rule write_report:
    input:
        template=workflow.source_path("../templates/report.html"),
        published=workflow.source_path("../resources/published.tsv"),
        areas="results/network/auroc.tsv",
        missed="results/missed.tsv",
        noise="results/noise.tsv",
        agreement="results/agreement.tsv",
        accuracy="results/digits/accuracy.tsv",
        summary="results/digits/summary.tsv",
        scatter=expand(
            "results/figures/{motif}.{references}.png",
            motif=MOTIFS,
            references=REFERENCES,
        ),
        digits="results/figures/digits.png",
        digit="results/figures/digit.png",
    output:
        report="results/report.html",
    log:
        "logs/write_report.log",
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    params:
        config=config,
        command=COMMAND,
        titles={name: title(name) for name in EXPLANATIONS},
        digit_titles={method: TITLES[method] for method in DIGIT_METHODS},
    script:
        "../scripts/write_report.py"
