"""A workflow of GitHub Actions (docs.github.com/actions, "Workflow syntax")."""

from __future__ import annotations

from wheelfuse.pipelines.project import PipelineOptions, Project
from wheelfuse.pipelines.steps import DIST, SUMMARY, WHEELHOUSE, Step, build_steps, fuse_steps
from wheelfuse.pipelines.yaml import block, comment, scalar

SARIF = "audit.sarif"

_WORKFLOW = """\
# Wheels of {name}: a job for each CPython builds one, and another fuses them into one for all, audits it, and
# verifies it on each. Written by `wheelfuse ci github`; from here on it is yours. The last job waits to be filled in.
name: wheels

on:
  push:
    branches: [main]
    tags: ["v*"]
  pull_request:
  workflow_dispatch:

permissions:
  contents: read

concurrency:
  group: wheels-${{{{ github.ref }}}}
  cancel-in-progress: ${{{{ github.event_name == 'pull_request' }}}}

jobs:
  build:
    name: build (${{{{ matrix.target }}}})
    runs-on: ubuntu-24.04
    container: {image}
    strategy:
      fail-fast: false # all failures are worth seeing; without any one wheel nothing is fused
      matrix:
        target: [{targets}]
    defaults:
      run:
        shell: bash
    env:
      TARGET: ${{{{ matrix.target }}}}
      UV_TOOL_BIN_DIR: /usr/local/bin
    steps:
      - uses: actions/checkout@v6
        with:
          persist-credentials: false{history}

{build}

      - uses: actions/upload-artifact@v6
        with:
          name: wheel-${{{{ matrix.target }}}}
          path: {wheelhouse}/*.whl
          if-no-files-found: error

  fuse:
    name: fuse
    needs: build
    runs-on: ubuntu-24.04
    container: {image}
{permissions}    defaults:
      run:
        shell: bash
    env:
      UV_TOOL_BIN_DIR: /usr/local/bin
    steps:
      - uses: actions/checkout@v6
        with:
          persist-credentials: false

      - uses: actions/download-artifact@v7
        with:
          pattern: wheel-*
          path: {wheelhouse}
          merge-multiple: true

{fuse}

      - uses: actions/upload-artifact@v6
        with:
          name: fused-wheel
          path: {dist}/*.whl
          if-no-files-found: error

"""

_PUBLISH = """\
  publish:
    name: publish
    needs: fuse
    if: startsWith(github.ref, 'refs/tags/v')
    runs-on: ubuntu-24.04
    environment: release
    permissions:
      id-token: write # trusted publishing: the index trusts this workflow and environment, no secret is stored
    steps:
      - uses: actions/download-artifact@v7
        with:
          name: fused-wheel
          path: dist
      - uses: pypa/gh-action-pypi-publish@release/v1
"""

_SUMMARIZE = f"""\
      - name: Show the findings
        if: always()
        run: test ! -e {SUMMARY} || cat {SUMMARY} >> "$GITHUB_STEP_SUMMARY"\
"""

_UPLOAD_SARIF = f"""\
      - name: Upload the findings
        if: always() && hashFiles('{SARIF}') != ''
        uses: github/codeql-action/upload-sarif@v4
        with:
          sarif_file: {SARIF}
          category: wheelfuse\
"""

_HISTORY = "\n          fetch-depth: 0 # the version may come from tags"
_CODE_SCANNING = """\
    permissions:
      contents: read
      security-events: write # for the findings
"""


def workflow(project: Project, options: PipelineOptions) -> str:
    """The text of a file in ``.github/workflows``."""
    formats = ["github", f"markdown={SUMMARY}", *([f"sarif={SARIF}"] if options.sarif else [])]
    after_audit = [_SUMMARIZE, *([_UPLOAD_SARIF] if options.sarif else [])]
    steps = fuse_steps(project, options, formats)
    number = 1 + next(number for number, step in enumerate(steps) if step.name == "audit")
    text = _WORKFLOW.format(
        name=project.name,
        image=scalar(options.image),
        targets=", ".join(map(str, project.targets)),
        history=_HISTORY if project.dynamic_version else "",
        build="\n\n".join(map(_step, build_steps(project, options))),
        fuse="\n\n".join([*map(_step, steps[:number]), *after_audit, *map(_step, steps[number:])]),
        permissions=_CODE_SCANNING if options.sarif else "",
        wheelhouse=WHEELHOUSE,
        dist=DIST,
    )
    return text + comment(_PUBLISH)


def _step(step: Step) -> str:
    return f"      - name: {scalar(step.title)}\n        run: {block(_literal(step.script), 10)}"


def _literal(script: str) -> str:
    """A script in which nothing is an expression of GitHub's."""
    return script.replace("${{", "${{ '${{' }}")
