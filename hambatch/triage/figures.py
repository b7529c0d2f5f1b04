"""What a threshold does to labelled lesions: misses, specificity, work, net benefit."""

from hambatch.engines.certificates import Benign, Found, NetBenefit, Positive
from hambatch.engines.measurements import Estimate
from hambatch.engines.referral import UNIT
from hambatch.evaluation.sample import LEVEL
from hambatch.triage.lesions import Lesions
from hambatch.triage.threshold import lower_bound


def figures_at(threshold: int, lesions: Lesions, confidence: float, not_scored: int = 0) -> Found:
    """Measure a threshold, in millionths and below 1; at least one lesion is of the target.

    A positive lesion is missed if any of its scored images is not referred. Another lesion is
    referred if any of its images is.
    """
    positive, share = lesions.positive, threshold / UNIT
    missed = (lesions.lowest < threshold) & positive
    referred = (lesions.highest >= threshold) & ~positive
    images, of_positive = lesions.scores >= threshold, positive[lesions.codes]
    count, others = int(positive.sum()), int((~positive).sum())
    misses, costs = int(missed.sum()), int(referred.sum())
    return Found(
        Positive(
            lesions=count,
            missed=misses,
            images=int(of_positive.sum()),
            sensitivity=exact_estimate(count - misses, count),
            lower_bound=lower_bound(misses, count, confidence),
            not_scored=not_scored,
        ),
        Benign(
            lesions=others,
            referred=costs,
            images=int((~of_positive).sum()),
            images_referred=int((images & ~of_positive).sum()),
            specificity=exact_estimate(others - costs, others) if others else None,
        ),
        float(images.mean()),
        NetBenefit(
            at_threshold=net_benefit(count - misses, costs, count + others, share),
            refer_all=net_benefit(count, others, count + others, share),
        ),
    )


def exact_estimate(part: int, whole: int) -> Estimate:
    """Give a share and its two-sided 95 % interval by Clopper and Pearson; ``whole`` > 0."""
    tail = (1 + LEVEL) / 2
    low = lower_bound(whole - part, whole, tail)
    return Estimate(part / whole, (low, 1 - lower_bound(part, whole, tail)))


def net_benefit(found: int, referred: int, lesions: int, threshold: float) -> float:
    """Weigh lesions of the target that are found against others that are referred [1]_.

    Whoever refers at a probability of ``threshold`` accepts (1 - threshold) / threshold needless
    referrals for one lesion found. The unit is a lesion found, for each of all ``lesions``.

    References
    ----------
    .. [1] Vickers, Elkin, "Decision curve analysis: a novel method for evaluating prediction
       models", Med. Decis. Making 26:565-574 (2006), doi:10.1177/0272989X06295361
    """
    return (found - referred * threshold / (1 - threshold)) / lesions
