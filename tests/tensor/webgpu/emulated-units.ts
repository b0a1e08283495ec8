import { usedAdapter, webgpuBackend } from '../../../src/tensor/webgpu/device.ts';
import type { MatrixUnit } from '../../../src/tensor/webgpu/device.ts';

/** As NVIDIA has it, and AMD in wave32. No adapter of this machine does. */
export const tensorCore: MatrixUnit = { m: 16, n: 16, k: 16, element: 'f16', lanes: 32 };
/** Another of NVIDIA's, whose sides differ: a row taken for a column would show. */
export const oblongCore: MatrixUnit = { m: 16, n: 8, k: 32, element: 'f16', lanes: 32 };

/**
 * The adapter in use then has such a matrix unit, by shaders: all of ours around it is as it would be with a real one,
 * workgroups of as many invocations, what they fetch and where they put it.
 *
 * @returns what takes the unit away again
 */
export function emulateUnit(unit: MatrixUnit): () => void {
  const { device } = webgpuBackend();
  const adapter = usedAdapter()!;
  const { units } = adapter;
  const createShaderModule = device.createShaderModule.bind(device);
  device.createShaderModule = (descriptor) =>
    createShaderModule({ ...descriptor, code: emulated(descriptor.code, unit) });
  Object.assign(adapter, { units: [unit] });
  return () => {
    device.createShaderModule = createShaderModule;
    Object.assign(adapter, { units });
  };
}

/**
 * A matrix that is multiplied stays in the workgroup's memory, where it begins and how far its rows or columns are
 * apart; of one that is summed each lane has its share. What is not by matrix units is left alone.
 */
function emulated(code: string, { m, n, k, lanes }: MatrixUnit): string {
  if (!code.includes('enable chromium_experimental_subgroup_matrix;')) return code;
  const rightByColumns = code.includes('col_major');
  const share = m * n / lanes;
  /** A number of a part of vectors, whose matrix begins at a vector. */
  const numberOf = (part: string, line: string, place: string) =>
    `let at${part} = (${part}.x + ${line} * ${part}.y) * 4 + ${place};
      let ${part}Number = f32(${part}s[at${part} / 4][at${part} % 4]);`;
  const main = code
    .replaceAll(/^.*(enable (chromium_experimental_subgroup_matrix|subgroup_size_control);|subgroup_matrix_uniformity).*$/gm, '')
    .replace('enable subgroups;', '')
    .replace(/@subgroup_size\(\d+\)/, '')
    .replace('@builtin(subgroup_id) subgroup: u32,', '')
    .replace('let group =', `let subgroup = local / ${lanes};\n  unitLane = local % ${lanes};\n  let group =`)
    .replaceAll(/k < (\d+);/g, 'k < $1 * once();')
    .replaceAll(/subgroup_matrix_result<f32, \d+, \d+>/g, 'UnitShare')
    .replaceAll(/subgroupMatrixLoad<subgroup_matrix_\w+<f16, \d+, \d+>, \w+>\(\s*&\w+, /g, 'vec2u(')
    .replaceAll('subgroupMatrixMultiplyAccumulate', 'unitMultiply')
    .replaceAll(/subgroupMatrixStore<row_major>\(&made, /g, 'unitStore(');
  return `${main}
alias UnitShare = array<f32, ${share}>;
var<private> unitLane: u32;
fn once() -> u32 { return min(p.rows, 1); } // no compiler knows: loops that it writes out take it minutes
fn unitMultiply(left: vec2u, right: vec2u, sum: UnitShare) -> UnitShare {
  var more = sum;
  for (var i = 0u; i < ${share} * once(); i++) {
    let row = (i * ${lanes} + unitLane) / ${n};
    let column = (i * ${lanes} + unitLane) % ${n};
    for (var depth = 0u; depth < ${k} * once(); depth++) {
      ${numberOf('left', 'row', 'depth')}
      ${rightByColumns ? numberOf('right', 'column', 'depth') : numberOf('right', 'depth', 'column')}
      more[i] += leftNumber * rightNumber;
    }
  }
  return more;
}
fn unitStore(first: u32, sum: UnitShare, pitch: u32) {
  for (var i = 0u; i < ${share}; i++) {
    let place = i * ${lanes} + unitLane;
    made[first + place / ${n} * pitch + place % ${n}] = sum[i];
  }
}`;
}
