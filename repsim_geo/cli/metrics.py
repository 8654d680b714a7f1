"""The command ``repsim-geo metrics``: which metrics there are, and what one of them says of itself."""

from typing import Any

from repsim_geo.cli.common import Options, as_json, say, told


def add_metrics(application: Any, typer: Any) -> None:
    """Add the command to the application."""
    shared = Options(typer)

    @application.command()
    def metrics(
        name: str | None = typer.Argument(None, metavar="NAME", help="Of one metric; all if left out."),
        json: bool = shared.json,
        show_traceback: bool = shared.traceback,
    ) -> None:
        """List the metrics: unit, range, and what they do not notice."""
        with told(show_traceback):
            cards = _cards(name)
        if json:
            say(as_json(cards))
        elif name is None:
            rows = [(key, card["unit"], card["range"]) for key, card in cards.items()]
            say(_table([("name", "unit", "range"), *rows]))
            say("\nrepsim-geo metrics NAME says more of one.")
        else:
            ((key, card),) = cards.items()
            facts = {k: ", ".join(v) if isinstance(v, list) else v for k, v in card.items()}
            say(key)
            say("\n".join(f"  {k.replace('_', ' '):16}{v or 'none'}" for k, v in facts.items()))


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows)


def _cards(name: str | None) -> dict[str, dict[str, Any]]:
    from repsim_geo.registry import as_metric, available_metrics, options_of

    cards = available_metrics()
    chosen = cards if name is None else {as_metric(name).card.key: cards[as_metric(name).card.key]}
    return {
        key: {
            "distance": card.summary,
            "unit": card.unit,
            "range": card.range_text(),
            "does_not_notice": [x.strip() for x in card.invariance_names().split(",")],
            "options": options_of(key),
            "other_names": list(card.aliases),
            "references": list(card.references),
        }
        for key, card in chosen.items()
    }
