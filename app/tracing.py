"""OpenTelemetry: a span for each request. Imported only where the OTEL_* variables ask for it.

These are the variables that every OpenTelemetry SDK reads (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME,
OTEL_TRACES_SAMPLER and so on). Spans are sent by a thread of the SDK that no request waits for.
"""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

UNTRACED = frozenset({"/livez", "/readyz", "/health", "/metrics"})
"""Asked every few seconds by machines."""


def tracer_provider() -> TracerProvider:
    """Sets the SDK up as the variables say; its `shutdown` sends the last spans."""
    about = Resource({SERVICE_NAME: "review-lm"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=about)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class TracingMiddleware:
    """Around everything else, so that a span is as long as the answer takes, streams included."""

    def __init__(self, app: ASGIApp, provider: TracerProvider) -> None:
        self._app, self._tracer = app, provider.get_tracer("review-lm")
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        parent = self._propagator.extract(headers)
        with self._tracer.start_as_current_span(scope["method"], context=parent, kind=SpanKind.SERVER) as span:
            await self._app(scope, receive, send)
            _describe(span, scope)


def _describe(span: Span, scope: Scope) -> None:
    """Puts what the router and the exchange know into the span: never a text, nor a path as it was sent."""
    span.set_attribute("http.request.method", scope["method"])
    if route := getattr(scope.get("route"), "path", None):
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)
    if exchange := scope["state"].get("exchange"):
        span.set_attribute("http.response.status_code", exchange.status)
        span.set_attribute("review_lm.request_id", exchange.request_id)
        span.set_attribute("review_lm.model", exchange.model)
        span.set_attribute("review_lm.queue_milliseconds", exchange.timing.queue)
        span.set_attribute("review_lm.model_milliseconds", exchange.timing.model)
        span.set_attribute("review_lm.tokens_in", exchange.tokens_in)
        span.set_attribute("review_lm.tokens_out", exchange.tokens_out)
        if exchange.status >= 500:
            span.set_status(StatusCode.ERROR)
