"""XLA's options, and the folder in which programs are kept."""

import os
import stat

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache as cache_of_jax

from jaxmlp import losses, optimizers, training
from jaxmlp.mlp import MLP
from jaxmlp.training import compiling

SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)
X = np.linspace(-1, 1, 24, dtype=np.float32)[:, None]


@pytest.fixture
def usual_settings():
    """JAX as it was, after the test."""
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    cache_of_jax.reset_cache()


@pytest.fixture
def found(monkeypatch):
    """What JAX's cache has been asked for: True where the program was in it."""
    asked = []
    events = {"/jax/compilation_cache/cache_hits": True, "/jax/compilation_cache/cache_misses": False}
    jax.monitoring.register_event_listener(lambda event, **_: asked.append(events[event]) if event in events else None)
    return asked


def history() -> bytes:
    recipe = training.Recipe(MLP(sizes=(1, 8, 1)), optimizers.adam(0.01), losses.squared_error)
    run = training.fit(recipe, (X, X**2), epochs=3, batch_size=5, key=jax.random.key(0), validation=(X, X**2))
    return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves((run.history, run.params))]).tobytes()


def test_a_program_from_the_cache_gives_the_same_bits_and_compiles_nothing(tmp_path, usual_settings, found):
    folder = training.compilation_cache(tmp_path / "made" / "cache")
    jax.clear_caches()
    compiled = history()
    assert found
    assert not any(found)
    assert list(folder.iterdir())
    found.clear()
    jax.clear_caches()
    assert history() == compiled
    assert found
    assert all(found)


def test_the_folder_is_its_owners_alone(tmp_path, usual_settings):
    before = os.umask(0)
    try:
        folder = training.compilation_cache(tmp_path / "cache")
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert training.compilation_cache(folder) == folder
    assert jax.config.jax_compilation_cache_dir == str(folder)


@pytest.mark.parametrize("mode", [0o701, 0o702, 0o704, 0o710, 0o720, 0o740])
def test_a_folder_open_to_others_is_refused(tmp_path, usual_settings, mode):
    before = jax.config.jax_compilation_cache_dir
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(PermissionError, match=r"is open to others \(drwx.*chmod 700"):
        training.compilation_cache(folder)
    assert jax.config.jax_compilation_cache_dir == before


def test_a_folder_of_another_user_is_refused(tmp_path, usual_settings, monkeypatch):
    (tmp_path / "cache").mkdir(mode=0o700)
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(PermissionError, match="belongs to another user"):
        training.compilation_cache(tmp_path / "cache")


def test_the_folder_is_among_the_users_caches(tmp_path, usual_settings, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert training.compilation_cache() == tmp_path / "jaxmlp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert training.compilation_cache() == tmp_path / ".cache" / "jaxmlp"


def test_options_suit_a_cpu_and_the_environment(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert compiling.options([64, 48]) == {"xla_backend_optimization_level": 2, "xla_cpu_prefer_vector_width": 512}
    assert compiling.options([64, 40]) == compiling.options([]) == {"xla_backend_optimization_level": 2}
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
    assert compiling.options([64]) == {"xla_cpu_prefer_vector_width": 512}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiling.options([64]) == {}
