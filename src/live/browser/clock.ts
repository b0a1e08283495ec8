import { clock, pace } from '../pace.ts';
import { button, setText } from './dom.ts';
import { currentSlide, onSlide, slides } from './slides.ts';

const colours = { 'ahead': '#56b4e9', 'on time': '#2fcf9f', 'behind': '#ff9d4d' };

/** The presenter's clock, in the foot of the presenter's view: time left, and whether the talk is ahead or behind. */
export class Clock {
  private startedAt: number | undefined;
  private readonly face: HTMLButtonElement;

  /** @param toggle asks for the clock to run from now, or to stand */
  constructor(toggle: (runs: boolean) => void) {
    this.face = button('vivo-reloj', '', 'Pone el reloj en marcha o a cero (t)', () => toggle(this.startedAt === undefined));
    this.face.style.cssText = 'position:fixed;border:0;padding:0.2em;background:none;'
      + 'font:700 22px/1.2 sans-serif;cursor:pointer;white-space:nowrap';
    document.body.append(this.face);
    document.addEventListener('keydown', ({ key, ctrlKey, altKey, metaKey }) => {
      if (key === 't' && !ctrlKey && !altKey && !metaKey) toggle(this.startedAt === undefined);
    });
    onSlide(() => this.draw());
    setInterval(() => this.draw(), 500);
  }

  set(startedAt: number | undefined): void {
    this.startedAt = startedAt;
    this.draw();
  }

  private draw(): void {
    // Right over Marp's own clocks, wherever the presenter has dragged the divider to.
    const foot = document.querySelector('.bespoke-marp-presenter-info-container')?.getBoundingClientRect();
    if (foot) Object.assign(this.face.style, { left: `${foot.left}px`, width: `${foot.width}px`, bottom: `${innerHeight - foot.top}px` });
    const shares = slides().map((slide) => Number(slide.querySelector('section')?.dataset.tiempo ?? 0));
    const [slide, total] = [currentSlide(), shares.reduce((sum, share) => sum + share, 0)];
    const own = `esta, ${clock(shares[slide] ?? 0)}`;
    if (this.startedAt === undefined) {
      setText(this.face, `⏵ ${clock(total)} · ${own}`);
      this.face.style.color = '#b9c0cc';
      return;
    }
    const { words, mood } = pace(shares, slide, (Date.now() - this.startedAt) / 1000);
    setText(this.face, `${words} · ${own}`);
    this.face.style.color = colours[mood];
    this.face.dataset.ritmo = mood;
  }
}
