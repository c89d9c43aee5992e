"""A pipeline of Buildkite, with the docker plugin (buildkite.com/docs/pipelines/configure)."""

from __future__ import annotations

from collections.abc import Iterable

from wheelfuse.pipelines.project import PipelineOptions, Project
from wheelfuse.pipelines.steps import DIST, SUMMARY, WHEELHOUSE, Step, build_steps, fuse_steps
from wheelfuse.pipelines.yaml import block, comment, scalar

_PIPELINE = """\
# Wheels of {name}: a job for each CPython builds one, and another fuses them into one for all, audits it, and
# verifies it on each. Written by `wheelfuse ci buildkite`; from here on it is yours. The last step waits to be filled
# in. The agents need docker. "$$" is a "$" for the shell: Buildkite replaces variables when a pipeline is uploaded.
steps:
  - label: build ({{{{matrix}}}})
    key: build
    matrix: [{targets}]
    artifact_paths: {wheelhouse}/*.whl
    plugins:
      - docker#v5.13.0:
          image: {image}
          chown: true # the agent removes what root in the container made
          environment:
            - TARGET={{{{matrix}}}}
            - UV_TOOL_BIN_DIR=/usr/local/bin
          command:
            - bash
            - -euo
            - pipefail
            - -c
            - {build}

  - label: fuse
    key: fuse
    depends_on: build
    artifact_paths: {dist}/*.whl
    plugins:
      - docker#v5.13.0:
          image: {image}
          chown: true
          mount-buildkite-agent: true # for the artifacts, and to show the findings
          environment:
            - UV_TOOL_BIN_DIR=/usr/local/bin
          command:
            - bash
            - -euo
            - pipefail
            - -c
            - {fuse}

"""

_PUBLISH = f"""\
  - block: Publish?
    depends_on: fuse
    if: build.tag != null
  - label: publish
    if: build.tag != null
    secrets:
      UV_PUBLISH_TOKEN: UV_PUBLISH_TOKEN # of the index; if it trusts tokens of Buildkite, ask for one in its place
    commands:
      - buildkite-agent artifact download '{DIST}/*.whl' .
      - uvx uv publish {DIST}/*.whl
"""

_FETCH = f"""\
buildkite-agent artifact download '{WHEELHOUSE}/*.whl' .
trap 'test ! -e {SUMMARY} || buildkite-agent annotate --context wheelfuse < {SUMMARY}' EXIT
"""


def pipeline(project: Project, options: PipelineOptions) -> str:
    """The text of ``.buildkite/pipeline.yml``."""
    text = _PIPELINE.format(
        name=project.name,
        image=scalar(options.image),
        targets=", ".join(map(str, project.targets)),
        build=_script(build_steps(project, options)),
        fuse=_script(fuse_steps(project, options, ["text", f"markdown={SUMMARY}"]), _FETCH),
        wheelhouse=WHEELHOUSE,
        dist=DIST,
    )
    return text + comment(_PUBLISH)


def _script(steps: Iterable[Step], before: str = "") -> str:
    parts = [f"echo '--- {step.title}'\n{step.script}\n" for step in steps]
    return block("\n".join(filter(None, (before, *parts))).replace("$", "$$"), 14)
