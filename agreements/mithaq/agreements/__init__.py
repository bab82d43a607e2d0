"""Data-sharing agreements: who may send what to whom, and until when.

An agreement grants; nothing else does. Where no clause names a sender, a
recipient and a category, the answer is a refusal, never a default. A clause that
refuses beats every clause that permits, and what can't be evaluated is refused.

The rooms within:

- ``vocabulary``, ``categories``, ``countries``: the closed words that terms are made of;
- ``clause``, ``terms``, ``wire``: the terms, and the exact bytes that parties sign;
- ``yaml_form``, ``draft``, ``articles``: the terms as people write them, and a first draft;
- ``facts``, ``status``, ``reason``: what a decision is about, and what it says;
- ``decision``, ``header``, ``reading``, ``act``: the evaluator, at each place that asks it;
- ``streams``: which streams an agreement needs, and which of them carry a record;
- ``lint``, ``diff``, ``explain``: terms examined before somebody signs them.

This room reads no clock, no disk and no network: what it needs of them is an
argument. So a decision can be replayed years later from the agreement's bytes and
the facts in the audit log, neither of which holds personal data.
"""
