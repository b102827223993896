"""What people run: the commands of riverrun, each of them a service of its own where it is long-running."""
