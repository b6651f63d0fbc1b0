"""The page that UCSC shows about the tracks of a hub."""

from collections.abc import Sequence
from html import escape

from seqlift.output.hub.limits import BEYOND
from seqlift.output.hub.track import Track

__all__ = ["description_text"]

_PAGE = """\
<h2>Description</h2>
<p>Contributions of single bases to the output of a sequence model: how much each base of the
genome raises (above the line) or lowers (below it) the prediction, against reference sequences.
Bases outside the scored regions have no value.</p>
<ul>
{tracks}
</ul>
<h2>Display Conventions and Configuration</h2>
<p>Zoomed in to single bases, each base is drawn as its letter, as high as its contribution;
zoomed out, as bars. {scale}</p>
<h2>Methods</h2>
<p>The tracks were computed by seqlift {version}. The file PREFIX.json beside each run's results
names the model, the genome, the method and the references.</p>
<h2>Credits</h2>
<p>Questions to <a href="mailto:{email}">{email}</a>.</p>
<h2>References</h2>
<p>Shrikumar A, Greenside P, Kundaje A. Learning important features through propagating activation
differences. <em>Proceedings of the 34th International Conference on Machine Learning</em>.
2017;70:3145-3153.</p>
<p>Nair S, et al. The dynseq browser track shows context-specific features at nucleotide
resolution. <em>Nature Genetics</em>. 2022;54:1581-1583.</p>
"""


def description_text(tracks: Sequence[Track], email: str, version: str, *, autoscale: bool) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    tracks : sequence of Track
    email : str
        Whom to ask.
    version : str
        Of seqlift.
    autoscale : bool
        Whether the scale is that of the view.
    """
    scale = (
        "The scale fits what is in view."
        if autoscale
        else f"The scale is fixed: one base in {1 / BEYOND:,.0f} of a track lies beyond each end."
    )
    return _PAGE.format(
        tracks="\n".join(f"<li>{escape(track.long_label)}</li>" for track in tracks),
        scale=scale,
        version=escape(version),
        email=escape(email),
    )
