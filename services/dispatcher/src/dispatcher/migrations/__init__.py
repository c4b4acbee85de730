"""SQL files, applied in order by `conveyor.migrate`."""
