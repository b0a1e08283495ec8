import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import type { Call, Graphs } from '../graph.ts';
import { Recording } from './recording.ts';
import { Store } from './replay.ts';
import type { Graph } from './replay.ts';

/** A function is run once while its dispatches are written down; from then on they are what runs. */
export class WebgpuGraphs implements Graphs {
  /** By name, shapes and member: the graph that serves, or undefined for what cannot be one. */
  private readonly known = new Map<string, Graph | undefined>();
  private readonly store = new Store();

  readonly problems = new Map<string, string>();

  run({ name, member, args, seed }: Call, f: () => Tensor[]): Tensor[] {
    const key = [name, member, ...args.map(({ shape }) => shape.join('×'))].join(' ');
    if (!this.known.has(key)) {
      const recording = new Recording(args);
      const values = recording.during(f);
      this.known.set(key, recording.graph(values, this.store));
      if (recording.problem !== undefined) this.problems.set(name, recording.problem);
      return values;
    }
    const graph = this.known.get(key);
    return tf.tidy(() => (graph ? graph.run(args, seed) : f()));
  }

  dispose(): void {
    this.store.dispose();
    this.known.clear();
  }
}
