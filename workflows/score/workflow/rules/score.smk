# The work: one job a sample and target, so that another target leaves the results of the first alone.


# `ancient`: the index and the table of operators must be there, but to make them again changes no score.
# Snakemake does not know of logos that an interrupted job did not come to move, so the next one removes them.
rule score:
    input:
        model=model_file(),
        weights=config["weights"] or [],
        references=references_file(),
        genome=config["genome"],
        regions=regions_of,
        index=ancient("results/genome_index"),
        operators=ancient("results/model/{target}.operators.tsv"),
    output:
        scores="results/scores/{sample}.{target}.h5",
        track="results/scores/{sample}.{target}.bw",
        regions="results/scores/{sample}.{target}.regions.tsv",
        summary="results/scores/{sample}.{target}.json",
        logos=report(
            directory("results/logos/{sample}.{target}"),
            patterns=["{sample}.{target}.logo{rank}.png"],
            caption="../report/strongest.rst",
            category="Logos",
            subcategory="{sample}, target {target}",
            labels={"logo": "strongest cores, rank {rank}"},
        ),
    log:
        "logs/score/{sample}.{target}.log",
    benchmark:
        "benchmarks/score/{sample}.{target}.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: config["resources"]["threads"]
    resources:
        mem_mb=config["resources"]["mem_mb"],
        runtime=config["resources"]["runtime"],
        gpu=config["resources"]["gpu"] if ON_GPU else 0,
    params:
        model=model_of,
        prefix=prefix_of,
        options=f"{MODEL_OPTIONS} {SCORE_OPTIONS}",
        extra=config["extra"] or "",
    shell:
        "(rm -f {params.prefix:q}.logo*.png"
        " && seqlift score --model {params.model} --genome {input.genome:q} --fai {input.index:q}/genome.fai"
        " --regions {input.regions:q} --target {wildcards.target:q} --output {params.prefix:q}"
        " --threads {threads} {params.options} {params.extra}"
        " && mkdir -p {output.logos:q} && shopt -s nullglob"
        ' && for logo in {params.prefix:q}.logo*.png; do mv "$logo" {output.logos:q}; done) 2> {log:q}'


rule logo:
    input:
        scores="results/scores/{sample}.{target}.h5",
    output:
        logo=report(
            "results/logos/{sample}.{target}.png",
            caption="../report/logo.rst",
            category="Logos",
            subcategory="{sample}, target {target}",
            labels={"logo": "strongest core, with hypothetical contributions"},
        ),
    log:
        "logs/logo/{sample}.{target}.log",
    benchmark:
        "benchmarks/logo/{sample}.{target}.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        "seqlift logo {input.scores:q} --output {output.logo:q} --hypothetical --standard-error 2> {log:q}"
