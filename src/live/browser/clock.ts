import { clock, pace } from '../pace.ts';
import type { TalkState } from '../state.ts';
import { spentOn } from '../clock.ts';
import { button, setText } from './dom.ts';
import { keyOf } from './keys.ts';
import { currentSlide, onSlide, slides } from './slides.ts';

const colours = { 'ahead': '#56b4e9', 'on time': '#2fcf9f', 'behind': '#ff9d4d' };

export interface ClockActions {
  /** The clock is to run from now, with this slide on show, or to stand. */
  toggle(runs: boolean, slide: number): void;
}

/**
 * The presenter's clock, over the foot of the presenter's view: time left, whether the talk is ahead or behind, what
 * the slide on show has taken of its share, and what it took the last time.
 */
export class Clock {
  private state: Pick<TalkState, 'clock' | 'before'> = {};
  private readonly face: HTMLButtonElement;

  constructor(actions: ClockActions) {
    const toggle = () => actions.toggle(this.state.clock === undefined, currentSlide());
    this.face = button('vivo-reloj', '', 'Pone el reloj en marcha o a cero (t)', toggle);
    this.face.style.cssText = 'position:fixed;border:0;padding:0.2em;background:none;'
      + 'font:700 22px/1.2 sans-serif;cursor:pointer';
    document.body.append(this.face);
    document.addEventListener('keydown', (event) => {
      if (keyOf(event) === 't') toggle();
    });
    onSlide(() => this.draw());
    setInterval(() => this.draw(), 500);
  }

  set(state: TalkState): void {
    this.state = state;
    this.draw();
  }

  private draw(): void {
    // Right over Marp's own clocks, wherever the presenter has dragged the divider to.
    const foot = document.querySelector('.bespoke-marp-presenter-info-container')?.getBoundingClientRect();
    if (foot) Object.assign(this.face.style, { left: `${foot.left}px`, width: `${foot.width}px`, bottom: `${innerHeight - foot.top}px` });
    const shares = slides().map((slide) => Number(slide.querySelector('section')?.dataset.tiempo ?? 0));
    const [slide, total] = [currentSlide(), shares.reduce((sum, share) => sum + share, 0)];
    const { clock: running, before } = this.state;
    const title = slides()[slide]?.querySelector('h1, h2')?.textContent;
    const last = before?.slides.find((one) => one.title === title);
    const own = clock(shares[slide] ?? 0) + (last && last.seconds > 0 ? ` (la última vez, ${clock(last.seconds)})` : '');
    if (!running) {
      setText(this.face, `parado · ${clock(total)} · esta, ${own}`);
      this.face.style.color = '#b9c0cc';
      return;
    }
    const now = Date.now();
    const { words, mood } = pace(shares, slide, (now - running.startedAt) / 1000);
    setText(this.face, `${words} · esta, ${clock(spentOn(running, slide, now) / 1000)} de ${own}`);
    this.face.style.color = colours[mood];
    this.face.dataset.ritmo = mood;
  }
}
