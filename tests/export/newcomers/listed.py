"""A fourth list: written after the export was mended for the third, and run before anything was mended for it."""

from __future__ import annotations

from collections.abc import Callable

from tests.export.architectures import Job
from tests.export.newcomers.language import deberta, gemma2, roberta, rwkv, xlnet
from tests.export.newcomers.pictures import film, mobilenet, onelook, straightened, superresolution
from tests.export.newcomers.signals import conformer, enhancer, informer, tcn, unet1d
from tests.export.newcomers.structures import capsules, flow, gat, kan, nerf, neural_ode, recommender, vqvae

NEWCOMERS: dict[str, Callable[[], Job]] = {
    each.__name__: each
    for each in (
        roberta,
        deberta,
        gemma2,
        xlnet,
        rwkv,
        tcn,
        unet1d,
        conformer,
        informer,
        enhancer,
        mobilenet,
        superresolution,
        straightened,
        film,
        onelook,
        gat,
        nerf,
        flow,
        kan,
        capsules,
        recommender,
        vqvae,
        neural_ode,
    )
}
