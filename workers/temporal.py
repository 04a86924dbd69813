"""Connecting to Temporal, and what the namespace must have before a rollout can run."""

from __future__ import annotations

from collections.abc import Mapping

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

from workflows.rollout import FLAG, STAGE, STATE, STRATEGY

DEFAULT_ADDRESS = "localhost:7233"


async def connect(environ: Mapping[str, str], *, lazy: bool = False, metrics_port: int = 0) -> Client:
    """A client by the ``TEMPORAL_*`` settings (or the file they name); localhost:7233 without any.

    ``lazy`` connects on first use. ``metrics_port`` serves the SDK's metrics to Prometheus; 0 serves none.
    """
    config = ClientConfig.load_client_connect_config(override_env_vars=dict(environ))
    config.setdefault("target_host", DEFAULT_ADDRESS)
    runtime = None
    if metrics_port:
        telemetry = TelemetryConfig(metrics=PrometheusConfig(bind_address=f"127.0.0.1:{metrics_port}"))
        runtime = Runtime(telemetry=telemetry)
    return await Client.connect(**config, data_converter=pydantic_data_converter, lazy=lazy, runtime=runtime)


async def register_search_attributes(client: Client) -> None:
    """Make the search attributes of rollouts known to the namespace; doing it again changes nothing."""
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    request = AddSearchAttributesRequest(
        namespace=client.namespace,
        search_attributes={key.name: keyword for key in (FLAG, STRATEGY, STATE, STAGE)},
    )
    try:
        await client.operator_service.add_search_attributes(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
