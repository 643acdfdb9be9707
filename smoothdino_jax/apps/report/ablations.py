"""What an evaluation's ablations say in words: how much of the gain remains without the past, without the shift.

That a gain is lost without a part of the input doesn't prove that it comes from there: what the model is given instead
may be unlike its training. What is said is therefore what was measured, with one verdict on each part at most.
"""

from collections.abc import Collection, Mapping, Sequence

from smoothdino_jax.apps.report.words import LEAST, listed, named

_HALF = 0.5  # of the gain
_ALL = (0.9, 1.1)  # of the gain: between, a part of the input makes no difference; above, it does harm
_READS_AS_ALL = 0.99
# What an ablation does, by the part of the input that it takes away. Its words say what else is unusual for the model.
_PARTS = {
    "the past": {
        "shuffled": "with a random past and shift",
        "current": "with the current frame in place of the past",
        "first_frame": "with every frame taken as the first",
    },
    "the shift": {"zero_shift": "with a shift of 0", "negated_shift": "with the opposite shift"},
}


def past_verdict(rows: Sequence[dict], smoothed: dict) -> str:
    """Whether the gain needs the past, a sentence; "" where that is open, or where there is no gain for sure.

    Args:
        rows: of the evaluation, the first is the frozen model; both it and `smoothed` with an MSE.
        smoothed: the row in question. Its ablations are the rows "NAME/HOW".
    """
    shares, ways = _shares(rows, smoothed), _PARTS["the past"]
    found = [shares[what] for what in ways if what in shares]
    verdict = _verdict("the past", found, len(found) == len(ways), bool(smoothed["mse_change_ci"])) if found else ""
    return f"{verdict}." if verdict else ""


def remaining_gain(rows: Sequence[dict], smoothed: dict) -> list[str]:
    """What remains of the gain when the model is denied a part of its input; arguments as for `past_verdict`.

    Returns:
        A text on the past (its verdict is `past_verdict`), one on the shift, one on all others, as far as there are.
        None without a gain, or where the gain's interval includes none. Without such an interval there are numbers
        alone.
    """
    shares, told = _shares(rows, smoothed), []
    for part, ways in _PARTS.items():
        found = {done: shares.pop(what) for what, done in ways.items() if what in shares}
        if found:
            sure = bool(smoothed["mse_change_ci"])
            verdict = "" if part == "the past" else _verdict(part, found.values(), len(found) == len(ways), sure)
            told.append(_remaining(found, verdict))
    if shares:
        told.append(_remaining({f"as {named(smoothed['name'] + '/' + what)}": share for what, share in shares.items()}))
    if told and not smoothed["mse_change_ci"]:
        told[-1] += " The gain itself has no interval."
    return told


def _shares(rows: Sequence[dict], smoothed: dict) -> dict[str, float]:
    """Ablation -> share of the gain that remains; empty without a gain, or where its interval includes none."""
    first, interval = rows[0], smoothed["mse_change_ci"]
    gain = first["mse"] - smoothed["mse"]
    if gain <= LEAST * first["mse"] or (interval and interval[1] >= 0):
        return {}
    shares = {}
    for row in rows:
        owner, _, what = row["name"].rpartition("/")
        if row["kind"] == "ablation" and owner == smoothed["name"] and row["mse"] is not None:
            shares[what] = (first["mse"] - row["mse"]) / gain
    return shares


def _verdict(part: str, shares: Collection[float], every: bool, sure: bool) -> str:
    """On a part of the input, by the shares of the gain that remain without it; "" where it is open.

    Args:
        part: "the past".
        shares: that remain, of the ablations of the part.
        every: none of these ablations is missing.
        sure: the gain has an interval, without "no gain" in it.
    """
    if part == "the past" and all(_ALL[0] < share < _ALL[1] for share in shares):
        return "It does not use the past" if every else "As far as measured, it does not use the past"
    if not sure:
        return ""
    largest = max(shares)
    if largest > _HALF:
        return f"Most of the gain is not {part}"
    return f"The gain depends on {part}" if every and largest < _HALF else ""


def _remaining(shares: Mapping[str, float], verdict: str = "") -> str:
    """A sentence for each share that remains, the largest first; what reads the same is in one."""
    ways: dict[str, list[str]] = {}
    for done, share in sorted(shares.items(), key=lambda item: -item[1]):
        ways.setdefault(_in_words(share), []).append(done)
    told = []
    for share, done in ways.items():
        start = f"{verdict}: {share}" if verdict and not told else share[0].upper() + share[1:]
        of = " of it" if told and share.endswith("all") else "" if told else " of the gain"
        told.append(f"{start}{of} remains {listed(done)}.")
    return " ".join(told)


def _in_words(share: float) -> str:
    if share >= _ALL[1]:
        return f"{100 * share:.0f} %, more than all,"
    if share > _READS_AS_ALL:
        return "all"
    return f"{100 * share:.0f} %" if share >= 0.005 else "nothing"
