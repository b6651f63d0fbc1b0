process SEQLIFT_SCORE {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"

    input:
    tuple val(meta), path(regions)
    path model
    path genome // with its index: [ genome.fa, genome.fa.fai ]

    output:
    tuple val(meta), path("*.h5")          , emit: scores
    tuple val(meta), path("*.bw")          , emit: track
    tuple val(meta), path("*.regions.tsv") , emit: regions
    tuple val(meta), path("*.json")        , emit: summary
    path "versions.yml"                    , emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args   = task.ext.args   ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    def fasta  = genome instanceof List ? genome[0] : genome
    """
    seqlift score \\
        --model $model \\
        --genome $fasta \\
        --regions $regions \\
        --output $prefix \\
        --threads $task.cpus \\
        $args

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        seqlift: \$(seqlift --version | sed 's/.* //')
    END_VERSIONS
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.h5 ${prefix}.bw ${prefix}.regions.tsv ${prefix}.json

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        seqlift: \$(seqlift --version | sed 's/.* //')
    END_VERSIONS
    """
}
