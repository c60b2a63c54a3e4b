"""A Pulumi resource provider, without the resources: subclass Provider and Resource to get one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    plugin_pb2,
    provider_pb2_grpc,
    status_pb2,
)
from pulumi.runtime.proto import provider_pb2 as pb

from lab.standins.serving import serve
from lab.standins.values import Properties, differences, pack, plain, root, unpack

T = TypeVar("T")
Failure = tuple[str, str]  # (property, what is wrong with it)


class PartialError(Exception):
    """The resource exists, but is not as wanted: the engine keeps this id and state, and fails."""

    def __init__(self, resource_id: str, state: Properties, message: str) -> None:
        super().__init__(message)
        self.id, self.state = resource_id, state


class Resource:
    """One resource type's behaviour; a fresh object serves each request.

    Inputs and states are as `values.unpack` gives them, secrets wrapped, unless said otherwise.
    """

    replace_on: ClassVar[frozenset[str]] = frozenset()  # properties, or paths, fixed once created
    kept: ClassVar[tuple[str, ...]] = ()  # properties that stay as they are when none is given

    def __init__(self, provider: Any, urn: str) -> None:
        self.provider, self.urn, self.name = provider, urn, urn.split("::")[-1]

    def replaces(self, path: str, inputs: Properties) -> bool:
        """Whether a change at this path needs a new resource; inputs are the new ones, plain."""
        return any(path == p or path.startswith((p + ".", p + "[")) for p in self.replace_on)

    def wanted(self, inputs: Properties, old_inputs: Properties) -> Properties:
        """The inputs, with what stays as it is although they name it no longer."""
        return {**{key: old_inputs[key] for key in self.kept if key in old_inputs}, **inputs}

    def needs_delete_first(self, inputs: Properties) -> bool:
        """Whether a replacement must wait for the old one's end; inputs are the old ones, plain."""
        return False

    def check(
        self, inputs: Properties, old_inputs: Properties, failures: list[Failure]
    ) -> Properties:
        """The inputs with defaults filled in; append to `failures` what is wrong with them."""
        return inputs

    def planned(self, inputs: Properties, old_state: Properties | None) -> Properties:
        """The state to show in a preview."""
        return {**(old_state or {}), **inputs}

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Make it; return its id and state."""
        raise NotImplementedError

    def read(
        self, resource_id: str, state: Properties, inputs: Properties
    ) -> tuple[Properties, Properties] | None:
        """The state and inputs as they are out there now; None if it is gone."""
        return state, inputs

    def update(
        self, resource_id: str, inputs: Properties, old_state: Properties, old_inputs: Properties
    ) -> Properties:
        """Change it in place; return its new state."""
        raise NotImplementedError

    def delete(self, resource_id: str, state: Properties) -> None:
        """Remove it; what is gone already is no error."""


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The provider protocol over `resources` (by type token) and `functions` (by token)."""

    version: ClassVar[str] = ""
    resources: ClassVar[Mapping[str, type[Resource]]] = {}
    functions: ClassVar[Mapping[str, Callable[[Any, Properties], Properties]]] = {}

    @classmethod
    def serve(cls, _engine_address: str) -> None:
        """Be a plugin process until told to stop; the engine is told nothing but answers."""
        provider = cls()
        serve(
            lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(
                provider, server
            )
        )

    def configure(self, config: Properties) -> None:
        """Take the provider's own configuration, plain. Raise on a bad one."""

    def _resource(self, request: Any, context: grpc.ServicerContext) -> Resource:
        token = request.type or request.urn.split("::")[2].split("$")[-1]
        if token not in self.resources:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{token}: not in this stand-in")
        return self.resources[token](self, request.urn)

    # The protocol. Its names are the engine's.

    def Handshake(self, request: Any, context: Any) -> pb.ProviderHandshakeResponse:
        return pb.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=True, accept_outputs=False
        )

    def Attach(self, request: Any, context: Any) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self.version)

    def GetSchema(self, request: Any, context: Any) -> pb.GetSchemaResponse:
        return pb.GetSchemaResponse(schema="{}")

    def CheckConfig(self, request: Any, context: Any) -> pb.CheckResponse:
        return pb.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> pb.DiffResponse:
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> pb.ConfigureResponse:
        def act() -> pb.ConfigureResponse:
            self.configure(plain(unpack(request.args)))
            return pb.ConfigureResponse(
                acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=False
            )

        return _guarded(context, act)

    def Check(self, request: Any, context: Any) -> pb.CheckResponse:
        failures: list[Failure] = []
        inputs = self._resource(request, context).check(
            unpack(request.news), unpack(request.olds), failures
        )
        return pb.CheckResponse(
            inputs=pack(inputs),
            failures=[pb.CheckFailure(property=p, reason=reason) for p, reason in failures],
        )

    def Diff(self, request: Any, context: Any) -> pb.DiffResponse:
        resource = self._resource(request, context)
        olds = unpack(request.old_inputs)
        news = resource.wanted(unpack(request.news), olds)
        ignored = set(request.ignoreChanges)
        detailed: dict[str, pb.PropertyDiff] = {}
        replaces: set[str] = set()
        for path, change in differences(olds, news):
            if root(path) in ignored or path in ignored or path.startswith("__"):
                continue
            kind: str = change
            if resource.replaces(path, plain(news)):
                kind = f"{change}_REPLACE"
                replaces.add(root(path))
            detailed[path] = pb.PropertyDiff(kind=pb.PropertyDiff.Kind.Value(kind), inputDiff=True)
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if detailed else pb.DiffResponse.DIFF_NONE,
            diffs=sorted({root(path) for path in detailed}),
            replaces=sorted(replaces),
            detailedDiff=detailed,
            hasDetailedDiff=True,
            deleteBeforeReplace=resource.needs_delete_first(plain(olds)),
        )

    def Create(self, request: Any, context: Any) -> pb.CreateResponse:
        def act() -> pb.CreateResponse:
            resource, inputs = self._resource(request, context), unpack(request.properties)
            if request.preview:
                return pb.CreateResponse(properties=pack(resource.planned(inputs, None)))
            resource_id, state = resource.create(inputs)
            return pb.CreateResponse(id=resource_id, properties=pack(state))

        return _guarded(context, act)

    def Update(self, request: Any, context: Any) -> pb.UpdateResponse:
        def act() -> pb.UpdateResponse:
            resource = self._resource(request, context)
            state, olds = unpack(request.olds), unpack(request.old_inputs)
            news = resource.wanted(unpack(request.news), olds)
            if request.preview:
                return pb.UpdateResponse(properties=pack(resource.planned(news, state)))
            updated = resource.update(request.id, news, state, olds)
            return pb.UpdateResponse(properties=pack(updated))

        return _guarded(context, act)

    def Read(self, request: Any, context: Any) -> pb.ReadResponse:
        def act() -> pb.ReadResponse:
            found = self._resource(request, context).read(
                request.id, unpack(request.properties), unpack(request.inputs)
            )
            if found is None:
                return pb.ReadResponse()  # an empty id says: it is gone
            state, inputs = found
            return pb.ReadResponse(id=request.id, properties=pack(state), inputs=pack(inputs))

        return _guarded(context, act)

    def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:
        def act() -> empty_pb2.Empty:
            self._resource(request, context).delete(request.id, unpack(request.properties))
            return empty_pb2.Empty()

        return _guarded(context, act)

    def Invoke(self, request: Any, context: Any) -> pb.InvokeResponse:
        def act() -> pb.InvokeResponse:
            if request.tok not in self.functions:
                raise NotImplementedError(f"{request.tok}: not in this stand-in")
            result = self.functions[request.tok](self, plain(unpack(request.args)))
            return pb.InvokeResponse(**{"return": pack(result)})

        return _guarded(context, act)

    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        return empty_pb2.Empty()


def _guarded(context: grpc.ServicerContext, action: Callable[[], T]) -> T:
    """Do the action; hand what it raises to the engine as the protocol's errors."""
    try:
        return action()
    except PartialError as failure:
        _abort_keeping(context, failure)
    except NotImplementedError as error:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the user must see it
        context.abort(grpc.StatusCode.UNKNOWN, str(error) or type(error).__name__)
    raise AssertionError("abort always raises")


def _abort_keeping(context: grpc.ServicerContext, failure: PartialError) -> NoReturn:
    detail = pb.ErrorResourceInitFailed(
        id=failure.id, properties=pack(failure.state), reasons=[str(failure)]
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(failure))
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(failure))
    raise AssertionError("abort always raises")
