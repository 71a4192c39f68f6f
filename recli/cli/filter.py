"""recli filter."""

from typing import TYPE_CHECKING

from recli.cli import options as opt
from recli.cli.console import Console

if TYPE_CHECKING:
    from recli.pipeline.events import Source
    from recli.pipeline.filter import Filters

EXAMPLE = "Example: recli filter ml-100k.inter --min-rating 4 --user-kcore 5 --item-kcore 5"


@opt.takes(opt.filters, opt.making, opt.source)
def command(
    console: Console, filters: "Filters", making: opt.Making, source: "Source", inputs: opt.Inputs = None
) -> None:
    """Leave rows of a table out: repeated ones, low ratings, rare users and items.

    The order is: --dedup, --range, --min-rating, then the k-cores.
    """
    paths = opt.inputs_of(console, inputs, making.path)
    from recli.pipeline.filter import filter_table

    out = making.output(console)
    opt.map_over(paths, making, lambda path: filter_table(path, source, filters, out))
