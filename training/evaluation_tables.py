"""The figures of `evaluate --full` as Markdown tables, as they are printed and stand in the model card."""

from typing import Any

from training.word_prediction import LISTED

MODEL = "model"
"""What the measured model is called among the models whose next words are compared."""


def evaluation_tables(evaluation: dict[str, Any]) -> str:
    """Returns the tables, each under a heading of the third level."""
    return "\n\n".join([_ratings(evaluation["ratings"]), _next_words(evaluation), _writing(evaluation["writing"])])


def _ratings(ratings: dict[str, Any]) -> str:
    rows = {"all": ratings, **{f"{stars} ★": figures for stars, figures in ratings.get("by_stars", {}).items()}}
    table = [
        "| rating | reviews | bits per character | without the rating | perplexity per word | perplexity per token |",
        "|---|---|---|---|---|---|",
        *(_rating_row(name, figures["told"], figures["hidden"]) for name, figures in rows.items()),
    ]
    return "### By rating\n\n" + "\n".join(table) + _recognised(ratings)


def _rating_row(name: str, told: dict[str, Any], hidden: dict[str, Any]) -> str:
    return (
        f"| {name} | {told['reviews']:,} | {told['bits_per_character']:.4f} | {hidden['bits_per_character']:.4f} "
        f"| {told['perplexity_per_word']:.2f} | {told['perplexity_per_token']:.2f} |"
    )


def _recognised(ratings: dict[str, Any]) -> str:
    if "recognised" not in ratings:
        return ""
    shares = ratings["recognised"]
    return f"""

The rating under which a review is most probable is its true one for {shares["every_rating_alike"]:.1%} of \
{shares["rated_reviews"]:,} rated reviews,
and for {shares["ratings_as_in_training"]:.1%} if each rating is held as probable as it is in the training reviews. \
Naming the most
frequent rating each time would be right for {shares["always_the_most_frequent"]:.1%}."""


def _next_words(evaluation: dict[str, Any]) -> str:
    models, given = evaluation["next_words"], "its rating and " if evaluation["ratings_told"] else ""
    figures = models[MODEL]
    names = ["this model" if name == MODEL else name for name in models]
    rows = [(f"top-{k} accuracy", [f"{each[f'top_{k}_accuracy']:.1%}" for each in models.values()]) for k in (1, 3, 5)]
    key = f"mean_reciprocal_rank_at_{LISTED}"
    rows += [
        (f"mean reciprocal rank, 0 beyond {LISTED}", [f"{each[key]:.3f}" for each in models.values()]),
        ("keystroke savings, three suggestions", [f"{each['keystroke_savings']:.1%}" for each in models.values()]),
        ("expected calibration error", [f"{each['expected_calibration_error']:.4f}" for each in models.values()]),
        ("bits per character", [f"{each['bits_per_character']:.4f}" for each in models.values()]),
    ]
    return f"""\
### Next words

Over all {figures["words"]:,} words of {figures["reviews"]:,} of these reviews, each given {given}all before it. \
The definitions stand in
`training/word_prediction.py`.

| | {" | ".join(names)} |
|{"---|" * (len(names) + 1)}
""" + "\n".join(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)


def _writing(writing: dict[str, Any]) -> str:
    generated, real, sampling = writing["generated"], writing["real"], writing["sampling"]
    runs = generated["longest_shared_run"], real["longest_shared_run"]
    rows = [
        *((f"distinct-{n}", f"{generated[f'distinct_{n}']:.3f}", f"{real[f'distinct_{n}']:.3f}") for n in (1, 2, 3)),
        ("self-BLEU-4", f"{generated['self_bleu_4']:.3f}", f"{real['self_bleu_4']:.3f}"),
        ("longest run shared with a training review: median", *(f"{run['median']:.0f}" for run in runs)),
        ("… of the 10 % with the longest", *(f"{run['percentile_90']:.0f} or more" for run in runs)),
        ("… of the 1 % with the longest", *(f"{run['percentile_99']:.0f} or more" for run in runs)),
        ("… of all", *(str(run["longest"]) for run in runs)),
    ]
    return f"""\
### What it writes

Temperature {sampling["temperature"]}, top-p {sampling["top_p"]}, no rating, at most {sampling["max_tokens"]} tokens; \
real reviews it never saw are cut at as many.
Runs are counted in words; distinct-n is of the first {writing["distinct_of_words"]:,} words of each.

| | {generated["reviews"]:,} generated | {real["reviews"]:,} real |
|---|---|---|
""" + "\n".join(f"| {' | '.join(row)} |" for row in rows)
