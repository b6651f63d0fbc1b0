# The work: one job a sample and target, so that another target leaves the results of the first alone.


LOGOS = report(
    directory("results/logos/{run}.{target}"),
    patterns=["{run}.{target}.logo{rank}.png"],
    caption="../report/strongest.rst",
    category="Logos",
    subcategory="{run}, target {target}",
    labels={"logo": "strongest cores, rank {rank}"},
)


# `ancient`: the index and the table of operators must be there, but to make them again changes no score.
# Snakemake does not know of logos that an interrupted job did not come to move, so the next one removes them.
# --resume: a job that was killed or preempted goes on from its last whole batch; with --force, from the start if
# anything has changed since.
if config["shards"] == 1:

    rule score:
        input:
            files=model_files,
            references=references_file(),
            genome=config["genome"],
            regions=regions_of,
            index=ancient("results/genome_index"),
            operators=ancient(operators_of),
        output:
            scores="results/scores/{run}.{target}.h5",
            track="results/scores/{run}.{target}.bw",
            regions="results/scores/{run}.{target}.regions.tsv",
            summary="results/scores/{run}.{target}.json",
            logos=LOGOS,
        log:
            "logs/score/{run}.{target}.log",
        benchmark:
            "benchmarks/score/{run}.{target}.tsv"
        conda:
            "../envs/seqlift.yaml"
        threads: config["resources"]["threads"]
        resources:
            **GPU,
            mem_mb=config["resources"]["mem_mb"],
            runtime=config["resources"]["runtime"],
        params:
            model=model_of,
            references=references_of,
            prefix=prefix_of,
            options=f"{MODEL_OPTIONS} {SCORE_OPTIONS} {RESULT_OPTIONS}",
            extra=config["extra"] or "",
        shell:
            "(rm -f {params.prefix:q}.logo*.png"
            " && seqlift score {params.model} --genome {input.genome:q} --fai {input.index:q}/genome.fai"
            " --regions {input.regions:q} --target {wildcards.target:q} --output {params.prefix:q}"
            " --threads {threads} --resume --force {params.references} {params.options} {params.extra}"
            " && mkdir -p {output.logos:q} && shopt -s nullglob"
            ' && for logo in {params.prefix:q}.logo*.png; do mv "$logo" {output.logos:q}; done) 2> {log:q}'

else:

    rule score_shard:
        input:
            files=model_files,
            references=references_file(),
            genome=config["genome"],
            regions=regions_of,
            index=ancient("results/genome_index"),
            operators=ancient(operators_of),
        output:
            scores=temp("results/shards/{run}.{target}/{shard}.h5"),
            regions=temp("results/shards/{run}.{target}/{shard}.regions.tsv"),
            summary=temp("results/shards/{run}.{target}/{shard}.json"),
        log:
            "logs/score/{run}.{target}.{shard}.log",
        benchmark:
            "benchmarks/score/{run}.{target}.{shard}.tsv"
        conda:
            "../envs/seqlift.yaml"
        threads: config["resources"]["threads"]
        resources:
            **GPU,
            mem_mb=config["resources"]["mem_mb"],
            runtime=config["resources"]["runtime"],
        params:
            model=model_of,
            references=references_of,
            prefix=prefix_of,
            of=config["shards"],
            options=f"{MODEL_OPTIONS} {SCORE_OPTIONS}",
            extra=config["extra"] or "",
        shell:
            "seqlift score {params.model} --genome {input.genome:q} --fai {input.index:q}/genome.fai"
            " --regions {input.regions:q} --target {wildcards.target:q} --output {params.prefix:q}"
            " --shard {wildcards.shard}/{params.of} --threads {threads} --resume --force"
            " {params.references} {params.options} {params.extra} 2> {log:q}"

    rule merge:
        input:
            summaries=shards_of,
            scores=lambda wildcards: [
                s.replace(".json", ".h5") for s in shards_of(wildcards)
            ],
            regions=lambda wildcards: [
                s.replace(".json", ".regions.tsv") for s in shards_of(wildcards)
            ],
            genome=config["genome"],
            index=ancient("results/genome_index"),
        output:
            scores="results/scores/{run}.{target}.h5",
            track="results/scores/{run}.{target}.bw",
            regions="results/scores/{run}.{target}.regions.tsv",
            summary="results/scores/{run}.{target}.json",
            logos=LOGOS,
        log:
            "logs/merge/{run}.{target}.log",
        benchmark:
            "benchmarks/merge/{run}.{target}.tsv"
        conda:
            "../envs/seqlift.yaml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=120,
        params:
            prefix=prefix_of,
            options=RESULT_OPTIONS,
        shell:
            "(rm -f {params.prefix:q}.logo*.png"
            " && seqlift merge {input.summaries:q} --genome {input.genome:q} --fai {input.index:q}/genome.fai"
            " --output {params.prefix:q} --force {params.options}"
            " && mkdir -p {output.logos:q} && shopt -s nullglob"
            ' && for logo in {params.prefix:q}.logo*.png; do mv "$logo" {output.logos:q}; done) 2> {log:q}'


rule logo:
    input:
        scores="results/scores/{run}.{target}.h5",
    output:
        logo=report(
            "results/logos/{run}.{target}.png",
            caption="../report/logo.rst",
            category="Logos",
            subcategory="{run}, target {target}",
            labels={"logo": "strongest core, with hypothetical contributions"},
        ),
    log:
        "logs/logo/{run}.{target}.log",
    benchmark:
        "benchmarks/logo/{run}.{target}.tsv"
    conda:
        "../envs/seqlift.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        "seqlift logo {input.scores:q} --output {output.logo:q} --hypothetical --standard-error 2> {log:q}"
