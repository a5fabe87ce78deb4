"""The preview does what the dashboard does: each rule that it imitates, with the test that shows it."""

import re
from pathlib import Path

RULES = {
    "form.yml.erb is plain ERB without a binding; __dir__ is the app's folder": "test_form_binding",
    "form.yml.erb is evaluated at each page up to 4.1, once per process from 4.2 on": "test_how_often_the_form_is_evaluated",
    "YAML is safe: no aliases, dates and symbols": "test_yaml_is_safe",
    "ids that Ruby's objects have are refused; a null option is an error page, never a crash": "test_bad_forms_become_alerts",
    "a scalar attribute is fixed: no widget, not settable, not in user_defined_context.json, but in the bindings": "test_fixed_values",
    "widgets, ids, names and wrappers": "test_widgets",
    "select options: flat, with data, and in groups; the first entry decides": "test_option_groups",
    "values are not validated by the server: no min, no max, no membership": "test_values_are_not_validated",
    "lists are dropped; all values are text": "test_lists_are_dropped",
    "raise in submit.yml.erb is a red box with the text in <pre>, values kept, nothing staged": "test_submit_errors",
    "unknown names in submit are nil; staged_root is known": "test_submit_binding",
    "smart attributes give their part of the job, submit.yml.erb is merged over it": "test_smart_attributes",
    "an app without a cluster cannot be launched": "test_a_form_without_a_cluster",
    "last values are remembered, not those with cacheable: false": "test_last_values",
    "staging like rsync: modes and links kept, .erb rendered with the mode of the .erb file": "test_staging",
    "the job: before sourced, script run, after sourced, connection.yml, clean sourced, in this order": "test_order_of_the_job",
    "clean_up 1 in before.sh ends the job; the card is Completed, never failed": "test_a_failing_before",
    "cards: info in every state, view while running, completed at the end; HTML unescaped through markdown": "test_cards",
    "a view that raises says so on its card only": "test_a_failing_before",
    "relaunch posts the old answers without the form": "test_relaunch",
    "edit opens the form with the values of that session": "test_edit",
    "cancel sends TERM and clean.sh does not run; the walltime does the same": "test_cancel",
    "delete drops the card and keeps the staged root": "test_relaunch",
    "/files/fs gives raw bytes; a missing file is a redirect to its folder": "test_files",
    "/node proxies same origin with Host kept; cookies of the dashboard and Authorization do not arrive": "test_proxy",
    "WebSockets through the proxy": "test_websockets",
    "other hosts and dead ports": "test_proxy",
    "the preview is for whoever got its address: key, host name, authenticity token": "test_only_with_the_key",
    "every page says that it is a preview": "test_every_page_says_preview",
    "content security policy on: a header that blocks inline scripts and styles (tests/browser shows the effect)": "test_content_security_policy",
    "dynamic forms on: the script is loaded (tests/browser shows the effect)": "test_content_security_policy",
}  # fmt: skip


def test_every_rule_has_its_test():
    texts = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    there = {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.M)}
    assert set(RULES.values()) - there == set()
