"""Crash points, generated from the source, that fire in real processes; and what is counted then.

`places` finds them (pure), `importing` puts them into modules as they are imported, `trigger` is
what a process does when it passes one; `plan` is the folder between processes and the test, `work`
is what people do meanwhile, `campaign` leads. No package of ours knows of any of this.
"""
