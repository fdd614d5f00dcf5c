"""The composition root: the only room that knows every other room."""

from keelmark.app.home import Home, data_folder, load_policy, make_guard, policy_text

__all__ = ["Home", "data_folder", "load_policy", "make_guard", "policy_text"]
