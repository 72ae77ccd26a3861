"""A full disk: what commands say of finished work is true, and the same command works when there is room."""

import numpy as np

from tests.helpers.small_disk import small_disk

COMMANDS = {
    "model": "fit STORE --head lda --inputs planes --planes t0/mid_block --split random:0.5 --smooth none",
    "map.npy": "predict MODEL STORE",
    "map.tif": "predict MODEL STORE",
    "x.npy": "export STORE --planes t0/mid_block",
    "x.parquet": "export STORE --planes t0/mid_block",
}


def test_a_command_that_keeps_nothing_does_not_say_that_it_does(store_path, model_folder, tmp_path, cli):
    with small_disk(tmp_path / "disk", 2) as disk:
        for name, command in COMMANDS.items():
            words = command.replace("STORE", str(store_path)).replace("MODEL", str(model_folder)).split(" ")
            disk.fill()
            before = set(disk.path.iterdir())
            message = cli(*words, "--out", disk.path / name, status=1)
            assert "is full: free some space and run the command again" in message and "kept" not in message
            assert set(disk.path.iterdir()) == before, "nothing is kept, and nothing is left over"
            disk.free()
            cli(*words, "--out", disk.path / name)
        assert len(np.unique(np.load(disk.path / "map.npy"))) > 1
        disk.fill()
        np.save(tmp_path / "cube.npy", np.random.default_rng(0).normal(1000, 100, (64, 64, 8)).astype(np.float32))
        extract = ["extract", tmp_path / "cube.npy", "--backbone", "context", "--layers", "mean-3"]
        assert "free some space" in cli(*extract, "--out", disk.path / "s.zarr", status=1)
