import { webgpuBackend } from './device.ts';

/** How the invocations of a workgroup put their numbers together. */
export interface Reduction {
  readonly key: string;
  /**
   * WGSL: `sumOfAll(local, x)` and `maxOfAll(local, x)`, the sum and the largest of what each invocation gives, told
   * to all of them. All have to call it, in the same order.
   */
  readonly code: string;
  /** Whether it asks for `lane` and `lanes`: the invocation's place in its subgroup, and how many that has. */
  readonly bySubgroups: boolean;
}

let wanted = true;

/** From now on workgroups put numbers together by subgroups, where the device has them, or else by halves. */
export function useSubgroups(on: boolean): void {
  wanted = on;
}

/** @param size invocations of a workgroup: a power of two */
export function reduction(size: number): Reduction {
  const { device } = webgpuBackend();
  // A subgroup that is not full might lack any of its lanes.
  const bySubgroups = wanted && device.features.has('subgroups')
    && size % (device.adapterInfo.subgroupMaxSize ?? Infinity) === 0;
  return {
    key: bySubgroups ? 'by subgroups' : 'by halves', bySubgroups,
    code: `
var<workgroup> gathered: array<f32, ${size}>;
${(bySubgroups ? subgroups : halves)(size, 'sumOfAll', 'subgroupAdd', (a, b) => `${a} + ${b}`)}
${(bySubgroups ? subgroups : halves)(size, 'maxOfAll', 'subgroupMax', (a, b) => `max(${a}, ${b})`)}`,
  };
}

type Function = (size: number, name: string, ofSubgroup: string, joined: (a: string, b: string) => string) => string;

/** Each subgroup looks at all numbers, so that it does not matter which invocations are in which. */
const subgroups: Function = (size, name, ofSubgroup, joined) => `
fn ${name}(local: u32, own: f32) -> f32 {
  workgroupBarrier(); // the numbers of the last time have been read
  gathered[local] = own;
  workgroupBarrier();
  var all = gathered[lane];
  for (var i = lane + lanes; i < ${size}; i += lanes) { all = ${joined('all', 'gathered[i]')}; }
  return ${ofSubgroup}(all);
}`;

const halves: Function = (size, name, _, joined) => `
fn ${name}(local: u32, own: f32) -> f32 {
  workgroupBarrier(); // the numbers of the last time have been read
  gathered[local] = own;
  workgroupBarrier();
  for (var half = ${size / 2}u; half > 0; half /= 2) {
    if (local < half) { gathered[local] = ${joined('gathered[local]', 'gathered[local + half]')}; }
    workgroupBarrier();
  }
  return gathered[0];
}`;
