"""A page about scores files: a genome browser, a table of regions, quality and the run.

`make` is what the command calls. `selection` says which regions are shown, `tracks` what the
browser draws, `table` the numbers of each region, `quality` those of each file, `fates` what became
of the rows of the input; `page` puts it into one file of HTML. The page's own program is in
`assets/`, igv.js in `igv/`.
"""
