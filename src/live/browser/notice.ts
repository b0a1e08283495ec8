import { element, setText } from './dom.ts';

/** How long a sentence stays, in milliseconds. */
const read = 6000;

/** A sentence over the foot of the window, whatever slide it shows: for what no panel can say. */
export class Notice {
  private readonly line = element('p', 'vivo-aviso');
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    const heard = element('div', '', this.line); // always there: what comes into it is said aloud, and what it comes with is not
    heard.setAttribute('role', 'status');
    this.line.style.cssText = 'position:fixed;left:50%;bottom:2vh;transform:translateX(-50%);z-index:10;box-sizing:border-box;'
      + 'width:max-content;max-width:92vw;margin:0;padding:0.5em 1em;border:2px solid #ff9d4d;border-radius:0.5em;background:#0e1117;'
      + 'color:#ffffff;font:700 max(14px,1.7vw)/1.3 sans-serif;text-wrap:balance';
    this.line.hidden = true;
    document.body.append(heard);
  }

  /** @param lasting until it is cleared, and not for some seconds */
  say(text: string, lasting = false): void {
    clearTimeout(this.timer);
    setText(this.line, text);
    this.line.hidden = false;
    if (!lasting) this.timer = setTimeout(() => this.clear(), read);
  }

  clear(): void {
    this.line.hidden = true;
  }
}
