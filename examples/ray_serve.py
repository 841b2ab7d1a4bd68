"""The REST service as a Ray Serve deployment: the same app, its replicas on a Ray cluster.

    uv run --extra serve --with 'ray[serve]' python examples/ray_serve.py --replicas 2
    uv run --extra serve --with 'ray[serve]' python examples/ray_serve.py --address auto

Routes, results, problems and FACEPROOF_SERVE_ variables are those of `faceproof serve`. Each
replica has its own queue, rate limits and /metrics. Connections are Ray's: put a proxy that limits
slow clients in front of it. docs/how-to/serve-wide.md has the differences.
"""

from __future__ import annotations

import argparse
from typing import Any

import ray
from ray import serve

from faceproof.frontends.api.security import require_security
from faceproof.frontends.api.settings import ServiceSettings, read_settings

#: Health checks and other short requests beside the pictures that a replica has in its queue.
BESIDE_PICTURES = 64


def make_deployment(
    detector: str, settings: ServiceSettings, *, replicas: int, cores: int
) -> serve.Application:
    """Return the deployment: each replica loads the detector and uses this many cores."""
    shares = {"opening_threads": cores, "judging_threads": cores}
    used = settings.model_copy(update=shares)

    # A function in a function travels to the replicas as code, not as the name of this file.
    def build_app() -> Any:
        from faceproof.frontends.api import load_app

        return load_app(detector, settings=used)

    deployment = serve.deployment(
        serve.ingress(build_app)(),
        name="faceproof",
        num_replicas=replicas,
        ray_actor_options={"num_cpus": cores},
        # So that the queue is the service's, which answers 429 with Retry-After when it is full.
        max_ongoing_requests=used.max_waiting + BESIDE_PICTURES,
        graceful_shutdown_timeout_s=used.shutdown_seconds + 5,
    )
    return deployment.bind()


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--detector", default="default", help="name, or folder on every machine")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--cores", type=int, default=1, help="of each replica")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--address", help="of a running Ray cluster; empty: one is started")
    wish = parser.parse_args()
    settings = read_settings()
    require_security(wish.host, settings.guard)
    ray.init(address=wish.address, include_dashboard=False, log_to_driver=True)
    serve.start(http_options={"host": wish.host, "port": wish.port})
    how = {"replicas": wish.replicas, "cores": wish.cores}
    serve.run(make_deployment(wish.detector, settings, **how), blocking=True)


if __name__ == "__main__":
    main()
