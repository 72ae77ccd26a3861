.venv/bin/pytest -q -x --durations=6 tests/runtime/test_executors.py -k "gpu or paused or without or refuses or workers_are_checked or checked" 
.venv/bin/mypy hsifeat/runtime/dask_executor.py 2>&1 | tail -5
.venv/bin/pytest -q -x --durations=6 tests/extraction/test_killed_workers.py
