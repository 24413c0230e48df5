"""The data sets that have a name: their sizes, sources, licences and digests."""

from __future__ import annotations

from dataclasses import dataclass

CC_BY = "CC BY 4.0"


@dataclass(frozen=True)
class Entry:
    """A data set that `load` knows by name.

    Args:
        name: its name.
        N: number of samples.
        d: number of features.
        package: the package that ships the numbers, "cqlib" or "scikit-learn".
        source: authors and origin of the data.
        licence: licence of the data.
        content: `content_sha256` of the numbers as shipped, with labels -1 and +1.
    """

    name: str
    N: int
    d: int
    package: str
    source: str
    licence: str
    content: str


ENTRIES = (
    Entry(
        "a9a",
        32561,
        123,
        "cqlib",
        "Becker and Kohavi (1996), Adult, UCI, https://doi.org/10.24432/C5XW20; LibSVM's form",
        CC_BY,
        "741af0a12cb942d63409f53cfa51fd1fe27c8b31f0227052723b43bc9f9e15fd",
    ),
    Entry(
        "madelon",
        2000,
        500,
        "cqlib",
        "Guyon, Madelon, UCI, https://doi.org/10.24432/C5602H; LibSVM's form",
        CC_BY,
        "0353f1b6a0c589127c2b7555ef9a01ae8fe367ca7218602e3ee807b8d5837733",
    ),
    Entry(
        "splice",
        1000,
        60,
        "cqlib",
        "Molecular Biology (Splice-junction Gene Sequences) (1991), UCI, "
        "https://doi.org/10.24432/C5M888; LibSVM's form",
        CC_BY,
        "2c00d62ea299c6439bdb962ab8ca705f5882e2bd9d3d6cc59f797c99e90257ea",
    ),
    Entry(
        "breast_cancer",
        569,
        30,
        "scikit-learn",
        "Wolberg et al. (1993), Breast Cancer Wisconsin (Diagnostic), UCI, "
        "https://doi.org/10.24432/C5DW2B",
        CC_BY,
        "258fff807648fec32a19e2e450ac6401f3ea32645c97f47de7abcfdd742284a9",
    ),
    Entry(
        "digits",
        1797,
        64,
        "scikit-learn",
        "Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI, "
        "https://doi.org/10.24432/C50P49",
        CC_BY,
        "4c66e2c94f597d2569accc9076a0d8cbefa9f91fde4f4d989cdbaf43cbf157fe",
    ),
)
