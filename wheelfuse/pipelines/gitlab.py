"""A pipeline of GitLab (docs.gitlab.com/ci/yaml)."""

from __future__ import annotations

from collections.abc import Iterable

from wheelfuse.pipelines.project import PipelineOptions, Project
from wheelfuse.pipelines.steps import DIST, SUMMARY, WHEELHOUSE, Step, build_steps, fuse_steps
from wheelfuse.pipelines.yaml import block, comment, scalar

_PIPELINE = """\
# Wheels of {name}: a job for each CPython builds one, and another fuses them into one for all, audits it, and
# verifies it on each. Written by `wheelfuse ci gitlab`; from here on it is yours. The last job waits to be filled in.
stages: [build, fuse, publish]

workflow:
  rules:
    - if: $CI_COMMIT_TAG
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH

variables:
  UV_TOOL_BIN_DIR: /usr/local/bin{history}

build:
  stage: build
  image: {image}
  parallel:
    matrix:
      - TARGET: [{targets}]
  script:
{build}
  artifacts:
    paths:
      - {wheelhouse}/*.whl

fuse:
  stage: fuse
  image: {image}
  needs: [build]
  script:
{fuse}
  artifacts:
    when: always
    paths:
      - {dist}/*.whl
      - {summary}
    reports:
      junit: {junit}

"""

_JUNIT = "audit.xml"

_PUBLISH = f"""\
publish:
  stage: publish
  image: ghcr.io/astral-sh/uv:python3.12-bookworm-slim
  needs: [fuse]
  rules:
    - if: $CI_COMMIT_TAG
  id_tokens:
    PYPI_ID_TOKEN: # trusted publishing: the index trusts this project, no secret is stored
      aud: pypi
  script:
    - uv publish --trusted-publishing always {DIST}/*.whl
"""

_HISTORY = '\n  GIT_DEPTH: "0" # the version may come from tags'


def pipeline(project: Project, options: PipelineOptions) -> str:
    """The text of ``.gitlab-ci.yml``."""
    formats = ["text", f"markdown={SUMMARY}", f"junit={_JUNIT}"]
    text = _PIPELINE.format(
        name=project.name,
        image=scalar(options.image),
        targets=", ".join(map(str, project.targets)),
        history=_HISTORY if project.dynamic_version else "",
        build=_script(build_steps(project, options)),
        fuse=_script(fuse_steps(project, options, formats)),
        wheelhouse=WHEELHOUSE,
        dist=DIST,
        summary=SUMMARY,
        junit=_JUNIT,
    )
    return text + comment(_PUBLISH)


def _script(steps: Iterable[Step]) -> str:
    return "\n".join(f"    # {step.title}\n    - {block(step.script, 6)}" for step in steps)
