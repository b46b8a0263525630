"""Explains terms and symbols of a report.

In: findings. Out: sentences. Next: the page's sections and ``poise.reports.study.markdown``.
"""

from poise.studies.findings.findings import Findings

K_IS = "K is the number of prototypes."

COUNTED_ARE = "Only trials that failed, or that were healthy at their end, are counted."
"""Explanation of counts such as ``2 of 3``. Undecided trials are not counted, for example."""

CORRELATION_IS = (
    "A correlation of 1 means that both rank the trials in the same order. A correlation of 0 "
    "means that the two orders are unrelated."
)


def evidence_terms(findings: Findings) -> str:
    """Explains the terms that the evidence of the trials uses. It is empty if there are none."""
    verdicts = [trial.record.verdict for trial in findings.trials if trial.record.verdict]
    texts = " ".join(verdict.evidence for verdict in verdicts)
    sentences = []
    if "ln K" in texts and not any(setting.curves for setting in findings.settings):
        sentences.append(K_IS)
    if "teacher's entropy" in texts:
        sentences.append(
            "The teacher's entropy is the entropy of its output for an image, averaged over images."
        )
    if "effective number" in texts:
        sentences.append(
            "The effective number of prototypes is the exponential of the entropy of the teacher's "
            "mean output."
        )
    return " ".join(sentences)
