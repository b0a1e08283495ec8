import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DownloadProgress } from '../../src/checkpoint/download.ts';
import { fetchWheels } from '../../src/native/wheel.ts';
import type { Wheel } from '../../src/native/wheels.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';

const at = temporaryFolder();
let [calls, stage] = [0, ''];

beforeEach(() => { stage = at(`stage-${calls++}`); });
afterEach(() => void vi.unstubAllEnvs());

/** A Python that notes what it is asked, gives as wheel what it is told, and unpacks as it is told. */
function python({ pip = 'printf wheel > "$folder/$FILE"', unpack = 'echo 3 9; echo 9 9; touch "$3/needed"' } = {}): void {
  mkdirSync(stage);
  writeFileSync(`${stage}/python`, `#!/bin/sh
    [ "$1" = -c ] && echo 3.12 && exit
    [ "$*" = "-m pip --version" ] && echo "pip 24.0" && exit
    echo "$TMPDIR $*" >> "${stage}/asked"
    case "$*" in *unpack.py*) ${unpack} ;; *) folder="${stage}/wheels"; FILE=$(cat "${stage}/next"); ${pip} ;; esac`);
  chmodSync(`${stage}/python`, 0o755);
  vi.stubEnv('PYTHON', `${stage}/python`);
}

const wheel = (tags: string): Wheel => ({
  project: 'a-b', version: '1.2', file: `a_b-1.2-${tags}.whl`, sha256: createHash('sha256').update('wheel').digest('hex'),
  bytes: 5, members: ['from=to'], needed: ['needed'],
});

async function fetched(...wheels: Wheel[]) {
  const told: DownloadProgress[] = [];
  writeFileSync(`${stage}/next`, wheels[0]!.file);
  await fetchWheels(wheels, { stage, show: { progress: (one) => told.push(one), line: () => {} } });
  return { told, asked: readFileSync(`${stage}/asked`, 'utf8').trimEnd().split('\n') };
}

describe('a wheel that is fetched', () => {
  it('is asked of pip for its platform and its Python, whatever the one that runs', async () => {
    python();
    const { asked } = await fetched(wheel('cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64'));
    expect(asked[0]).toBe(`${stage}/tmp -m pip download --quiet --no-input --disable-pip-version-check --no-deps --only-binary=:all: `
      + `--retries 2 --dest ${stage}/wheels --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 `
      + '--python-version 3.11 --implementation cp --abi cp311 a-b==1.2');
  });

  it('is asked for its platform alone where any Python does', async () => {
    python();
    expect((await fetched(wheel('py3-none-manylinux2014_x86_64'))).asked[0])
      .toMatch(/--dest \S+ --platform manylinux2014_x86_64 a-b==1\.2$/);
  });

  it('is unpacked into the stage by its members, told as it goes, and is not kept', async () => {
    python();
    const given = wheel('py3-none-any');
    const { asked, told } = await fetched(given);
    expect(asked[1]).toMatch(new RegExp(`unpack\\.py ${stage}/wheels/${given.file} ${stage} from=to$`));
    const which = { index: 1, files: 1 };
    const unpacking = { ...which, file: `desempaqueta ${given.file}`, totalBytes: 9 };
    expect(told).toMatchObject([
      { ...which, file: given.file, bytes: 5, totalBytes: 5, complete: true },
      { ...unpacking, bytes: 3, complete: false }, { ...unpacking, bytes: 9, complete: true },
    ]);
    for (const { bytesPerSecond } of told) expect(bytesPerSecond).toBeGreaterThan(0);
    expect(existsSync(`${stage}/wheels/${given.file}`)).toBe(false);
  });

  it('is refused if it is another one, with both of their digests', async () => {
    python({ pip: 'printf other > "$folder/$FILE"' });
    const given = wheel('py3-none-any');
    const other = createHash('sha256').update('other').digest('hex');
    expect(await userErrorFrom(fetched(given), given.file)).toContain(`su SHA-256 es ${other} y debía ser ${given.sha256}`);
    expect(readFileSync(`${stage}/asked`, 'utf8')).not.toContain('unpack.py');
  });

  it.each([
    ['it cannot be unpacked', { unpack: 'echo "error: bad zip" >&2; exit 1' }, 'No se puede desempaquetar', 'error: bad zip'],
    ['its unpacking fills the disk', { unpack: 'echo "OSError: [Errno 28] No space left on device" >&2; exit 1' }, 'El disco está lleno', ''],
    ['the disk has a quota', { pip: 'echo "ERROR: [Errno 122] Disk quota exceeded" >&2; exit 1' }, 'El disco está lleno', ''],
    ['it lacks what it should have', { unpack: 'true' }, 'falta needed, que TensorFlow necesita', ''],
    ['pip does not give it', { pip: 'echo "ERROR: no network" >&2; exit 1' }, 'pip no da a-b 1.2 (ERROR: no network): comprueba la red', ''],
  ])('is told to have failed where %s', async (_, spoiled, message, reason) => {
    python(spoiled);
    expect(await userErrorFrom(fetched(wheel('py3-none-any')), message)).toContain(reason);
  });
});
