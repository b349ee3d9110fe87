"""Whether draws have the law that they should, within some standard errors."""


def moments_agree(draws, mean, variance):
    """Mean and variance of draws [N, ...] within 4.5 standard errors (of up to 100 numbers at once)."""
    num = len(draws)
    error = draws.std(0) / num**0.5
    assert ((draws.mean(0) - mean).abs() < 4.5 * error).all()
    spread = (draws - mean).square()
    assert ((spread.mean(0) - variance).abs() < 4.5 * spread.std(0) / num**0.5).all()
