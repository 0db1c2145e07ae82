"""Run plans in a test, and yield the result of each action."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from wps_run.connect.endpoint import Endpoint
from wps_run.execution.result import Result
from wps_run.execution.run_info import Destination
from wps_run.execution.stop import Stop
from wps_run.execution.summary import Summary
from wps_run.journal.recorder import RunRecorder
from wps_run.planning import Plan, run_info
from wps_run.reading import endpoint_of, new_clients
from wps_run.running import Observer, RunContext, carry_out


async def run_plans(
    plans: Sequence[Plan],
    endpoint: Callable[[Plan], Endpoint] = endpoint_of,
    recorder: RunRecorder | None = None,
) -> AsyncGenerator[Result]:
    run = run_info(plans, Destination.SERVICE)
    context = RunContext(run, new_clients(endpoint), recorder or RunRecorder())
    batches = carry_out(plans, context, Stop(), Summary(), Observer())
    async with aclosing(batches):
        async for batch in batches:
            for result in batch:
                if isinstance(result, Result):
                    yield result
