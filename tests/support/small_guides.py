"""Every continuous guide at the size of tiny.py, and two objectives that train them all."""

from functools import partial

from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from tiny import D

from guides.concat import Concat
from guides.cross_attention import CrossAttention
from guides.delayed import Delayed
from guides.encoder import Encoder
from guides.flow import Flow
from guides.glimpse import Glimpse
from guides.residual import Residual
from guides.semi_amortised import SemiAmortised

concat = partial(Concat, dim=D, hidden=6)
GUIDES = {
    "concat": concat,
    "residual": partial(Residual, dim=D, hidden=6),
    "cross_attention": partial(CrossAttention, dim=D, num_heads=2, hidden=6),
    "encoder": partial(Encoder, dim=D, hidden=6),
    "flow": partial(Flow, dim=D, num_layers=1, hidden=6),
    "semi_amortised": partial(SemiAmortised, inner=concat),
    "delayed": partial(Delayed, inner=concat),
    "glimpse": partial(Glimpse, inner=concat, share=0.5),
}
MEAN_FIELD, TRACE = (elbo(max_plate_nesting=1) for elbo in (TraceMeanField_ELBO, Trace_ELBO))
