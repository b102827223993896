"""Faust's tables, of which riverrun has none."""

from faust.tables import TableManager


class NoTables(TableManager):
    """Starts without the second that Faust gives tables to register in."""

    async def on_start(self) -> None:
        """Do what Faust's does, but for the sleep."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()
