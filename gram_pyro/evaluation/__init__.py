"""How answers are judged: metrics, statistics, the verdict."""
