"""The agent: an ordinary Faust agent whose events are batches."""

from typing import Any

from streams.worker.app import App
from streams.worker.batch import Batch


def define_agents(app: App) -> None:
    """Register the agent that cleans, scores, learns and detects, batch by batch."""

    @app.agent(app.raw_topic, name=f"{app.pipeline.name}.learn_and_score")
    async def learn_and_score(batches: Any) -> None:
        batch: Batch
        async for batch in batches:
            try:
                await app.assignment.process(batch)
            except Exception as error:
                # Faust acknowledges what an agent raised on; nothing may be committed past it.
                app.fail(error)
