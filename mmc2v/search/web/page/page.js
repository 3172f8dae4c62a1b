'use strict';
/* The page of search. What it shows follows from the address; nothing becomes markup. */

const PAGE = 12; // moments of one answer
const PAUSE = 350; // milliseconds without a key after which is searched
const AGAIN = 2000; // milliseconds after which a server that could not answer is asked again
const PICTURE_TRIES = 3;
const FULL_GAUGE = 5; // standard deviations
const $ = (id) => document.getElementById(id);

/* ---- what the server says ---- */

class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function ask(address, options = {}) {
  let response;
  try {
    response = await fetch(address, { credentials: 'same-origin', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refusal(0, 'gone', 'The server does not answer.');
  }
  if (response.ok) return response.json();
  throw await refusalOf(response);
}

async function refusalOf(response) {
  try {
    const { error } = await response.json();
    return new Refusal(response.status, error.code, error.message);
  } catch {
    return new Refusal(response.status, 'unknown', `The server answers ${response.status}.`);
  }
}

/* ---- texts ---- */

function clock(seconds) {
  const whole = Math.floor(seconds + 1e-6);
  const two = (value) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

function tenths(seconds) {
  const rounded = Math.round(seconds * 10) / 10;
  return clock(rounded) + '.' + (Math.round(rounded * 10) % 10);
}

function span(moment) {
  return moment.end - moment.start < 5
    ? `${tenths(moment.start)} – ${tenths(moment.end)}`
    : `${clock(moment.start)} – ${clock(moment.end)}`;
}

function many(number, one, several) {
  return `${number.toLocaleString('en')} ${number === 1 ? one : several}`;
}

function duration(hours) {
  if (hours >= 1) return `${hours.toFixed(1)} hours`;
  const minutes = Math.round(hours * 60);
  return minutes >= 1 ? many(minutes, 'minute', 'minutes') : `${Math.round(hours * 3600)} seconds`;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
}

/* ---- the address ---- */

function wanted() {
  const given = new URLSearchParams(location.search);
  const choice = (name) => given.get(name) || '';
  const offered = [...$('length').options].map((option) => option.value);
  return {
    q: choice('q').slice(0, 500), clip: choice('clip'), upload: choice('upload'),
    folder: choice('folder'), one: choice('one') === '1', play: choice('play'),
    length: offered.includes(choice('length')) ? choice('length') : '',
  };
}

function address(state) {
  const given = new URLSearchParams();
  for (const name of ['q', 'clip', 'upload', 'folder', 'length', 'play']) {
    if (state[name]) given.set(name, state[name]);
  }
  if (state.one) given.set('one', '1');
  return '/' + (given.size ? `?${given}` : '');
}

function go(change, replace = false) {
  const target = address({ ...wanted(), play: '', ...change });
  if (target === location.pathname + location.search) return render();
  if (replace) history.replaceState(history.state, '', target);
  else history.pushState({}, '', target);
  return render();
}

function question(state) {
  const given = new URLSearchParams();
  if (state.upload) given.set('upload', state.upload);
  else if (state.clip) given.set('clip', state.clip);
  else if (state.q.trim()) given.set('q', state.q);
  else return null;
  if (state.folder) given.set('folder', state.folder);
  const [least, most] = state.length.split('-');
  if (least) given.set('min_length', least);
  if (most) given.set('max_length', most);
  if (state.one) given.set('per_video', '1');
  return given.toString();
}

/* ---- moments ---- */

let shown = null; // the question whose moments are there
let moments = []; // in the order of the page
let known = new Set(); // their ids: the index may change between two answers
let isMore = false;
let running = null; // the request for more
let server = null; // what it said of itself last
let repeat = 0;
let finding = null; // the moments on their way

async function render() {
  const state = wanted();
  const asked = question(state);
  document.body.classList.toggle('start', asked === null);
  if (document.activeElement !== $('q') || !typing) $('q').value = state.q;
  $('folder').value = state.folder;
  $('length').value = state.length;
  $('one').checked = state.one;
  document.title = state.q && asked ? `${state.q} – Find the moment` : 'Find the moment';
  if (asked !== shown || asked === null) finding = find(asked);
  await finding;
  showPlayer(state.play);
}

async function find(asked) {
  if (running) running.abort();
  running = null;
  shown = asked;
  isMore = false;
  if (asked === null) {
    forget();
    quiet();
    return;
  }
  $('results').setAttribute('aria-busy', 'true');
  await more(true);
  $('results').removeAttribute('aria-busy');
}

function forget() {
  moments = [];
  known = new Set();
  $('results').replaceChildren();
  $('more').hidden = true;
  $('origin').hidden = true;
  $('count').textContent = '';
}

async function more(isFirst = false) {
  if (running || shown === null) return;
  const controller = running = new AbortController();
  const offset = isFirst ? 0 : moments.length;
  try {
    const answer = await ask(`/api/search?${shown}&offset=${offset}&limit=${PAGE}`,
      { signal: controller.signal });
    if (running !== controller) return;
    if (isFirst) forget();
    quiet();
    showOrigin(answer.query);
    const fresh = answer.results.filter((moment) => !known.has(moment.id));
    for (const moment of fresh) {
      known.add(moment.id);
      moments.push(moment);
      $('results').append(card(moment));
    }
    isMore = answer.more && fresh.length > 0 && moments.length < 950;
    $('more').hidden = !isMore;
    if (moments.length === 0) noHit();
    else tell(`${many(moments.length, 'moment', 'moments')}${isMore ? ', more below' : ''}`);
  } catch (error) {
    if (error.name !== 'AbortError') failed(error);
  } finally {
    if (running === controller) running = null;
  }
  if (isMore && isNear($('more'))) more();
}

function isNear(element) {
  return element.getBoundingClientRect().top < innerHeight + 400;
}

function tell(text) {
  $('count').textContent = text;
}

function card(moment) {
  const item = $('card').content.cloneNode(true).firstElementChild;
  const play = item.querySelector('.play');
  const image = item.querySelector('img');
  const what = `${moment.name} from ${clock(moment.start)}`;
  play.setAttribute('aria-label',
    `Play ${what}, stands out by ${moment.stands_out.toFixed(1)} standard deviations`);
  play.dataset.id = moment.id;
  image.addEventListener('load', () => {
    image.classList.toggle('tall', image.naturalHeight > 1.2 * image.naturalWidth);
    item.querySelector('.missing').hidden = true;
  });
  let tries = 0;
  image.addEventListener('error', () => missing(item, moment, ++tries < PICTURE_TRIES));
  image.src = moment.thumbnail;
  item.querySelector('.time').textContent = span(moment);
  item.querySelector('.name bdi').textContent = moment.name;
  item.querySelector('.name').title = moment.name;
  item.querySelector('.where bdi').textContent = moment.folder
    + (moment.copies ? ` and ${many(moment.copies, 'copy', 'copies')}` : '');
  item.querySelector('.where').title = moment.folder;
  item.querySelector('.number').textContent =
    `${moment.stands_out < 0 ? '−' : '+'}${Math.abs(moment.stands_out).toFixed(1)}σ`;
  item.querySelector('.stands').title =
    'How far its score lies above the mean of all moments, in standard deviations';
  item.querySelector('.gauge span').style.width =
    `${Math.max(0, Math.min(1, moment.stands_out / FULL_GAUGE)) * 100}%`;
  item.querySelector('.like .unseen').textContent = `More like ${what}`;
  item.querySelector('.like').dataset.like = moment.id;
  return item;
}

async function missing(item, moment, isTriedAgain) {
  const [label, image] = [item.querySelector('.missing'), item.querySelector('img')];
  image.hidden = true;
  label.hidden = false;
  label.textContent = 'No picture';
  try {
    const response = await fetch(moment.thumbnail);
    if ((response.ok || response.status === 503) && isTriedAgain) {
      setTimeout(() => {
        image.hidden = false;
        image.src = moment.thumbnail;
      }, response.ok ? 0 : AGAIN);
      return;
    }
    const { code, message } = await refusalOf(response);
    label.textContent = { moved: 'Moved or deleted since', changed: 'Changed since',
      outside: 'Outside the indexed folders', closed: 'May not be read' }[code] || 'No picture';
    label.title = message;
  } catch { /* the server has gone, which the next question tells */ }
}

function showOrigin(query) {
  $('origin').hidden = query.kind === 'text';
  if (query.kind === 'text') return;
  const isClip = query.kind === 'clip';
  $('origin-picture').hidden = !isClip;
  if (isClip) $('origin-picture').src = `/api/clips/${query.id}/thumbnail`;
  $('origin-name').textContent = query.name;
  $('origin-time').textContent = isClip ? span(query) : '';
}

/* ---- what there is to say ---- */

function notice(title, text, { command = '', action = '', run = null } = {}) {
  $('notice').hidden = false;
  put($('notice-title'), title);
  put($('notice-text'), text);
  $('notice-command').hidden = !command;
  put($('notice-command'), command);
  $('notice-action').hidden = !action;
  put($('notice-action'), action);
  $('notice-action').onclick = run && (() => {
    run();
    $('q').focus(); // the button goes
  });
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text; // what is the same is not read out
}

function quiet() {
  if ($('notice').dataset.of !== 'server') $('notice').hidden = true;
}

function noHit() {
  const state = wanted();
  tell('No moment');
  if (state.folder || state.length) {
    notice('No moment here', 'No video in this folder and of this length has one.', {
      action: 'Remove the filters', run: () => go({ folder: '', length: '', one: false }),
    });
  } else if (server && server.state === 'ready') {
    notice('No other moment', 'The index holds nothing else to compare with; index more videos.');
  }
}

function failed(error) {
  shown = null;
  if (['gone', 'loading', 'busy', 'failed', 'empty', 'too_many'].includes(error.code)) {
    // asked again when the server can answer
    if (error.code === 'failed') notice(...FAILED);
    if (['busy', 'too_many'].includes(error.code)) tell(sentence(error.message));
    look(false);
    return;
  }
  forget();
  if (wanted().clip || wanted().upload) {
    notice('This is no longer there', sentence(error.message), {
      action: 'Back to sentences', run: () => go({ clip: '', upload: '' }),
    });
  } else if (error.code === 'token') {
    notice('The server asks for its link', sentence(error.message));
  } else {
    notice('This cannot be searched', sentence(error.message));
  }
}

const FAILED = ['The index cannot be searched', 'The terminal of the server says why; the page '
  + 'goes on by itself when it can.'];

async function look(asks = true) {
  clearTimeout(repeat);
  let pause = 30000;
  try {
    const before = server;
    server = await ask('/api/status');
    showServer(server);
    pause = server.state !== 'ready' ? 1500 : server.indexing ? 2000 : 30000;
    const isNew = before !== null && before.videos !== server.videos && moments.length === 0;
    if (isNew) shown = null;
    if (server.state === 'ready' && question(wanted()) !== shown) {
      if (asks) render();
      else pause = AGAIN;
    }
  } catch (error) {
    pause = 3000;
    $('notice').dataset.of = 'server';
    if (error.code === 'token') {
      notice('The server asks for its link', sentence(error.message));
    } else if (error.code === 'failed') {
      notice(...FAILED);
    } else if (error.code !== 'gone') {
      notice('The server cannot answer at present', sentence(error.message));
    } else {
      notice('The server does not answer', 'It may have ended, or the network to it. The page '
        + 'goes on by itself when it is back. It is started by', {
        command: `python tools/search.py serve --index ${server ? server.index : 'my.index'}` });
    }
  }
  repeat = setTimeout(look, document.hidden ? Math.max(pause, 10000) : pause);
}

function showServer({ state, index, videos, clips, hours, folders, indexing, unreadable }) {
  const field = $('folder');
  const names = folders.map((folder) => folder.name);
  if ([...field.options].slice(1).map((option) => option.value).join('\n') !== names.join('\n')) {
    field.replaceChildren(new Option('all', ''), ...folders.map((folder) =>
      new Option(`${folder.name} (${folder.videos})`, folder.name)));
  }
  const chosen = wanted().folder;
  if (chosen && !names.includes(chosen)) field.append(new Option(chosen, chosen));
  field.value = chosen;
  $('about').textContent = videos === 0 ? '' : `${many(videos, 'video', 'videos')}, `
    + `${duration(hours)}, ${many(clips, 'clip', 'clips')}`
    + (unreadable ? `; ${many(unreadable, 'file', 'files')} could not be read` : '');
  $('progress').hidden = !indexing;
  if (indexing) {
    $('progress-bar').value = indexing.share;
    $('progress-text').textContent = `Indexing: ${Math.round(100 * indexing.share)} %, `
      + `${many(indexing.files, 'file', 'files')} so far`;
  }
  const says = {
    loading: ['The model is being loaded', 'This takes some seconds, the first time longer. '
      + 'The question is asked as soon as it is there.'],
    empty: indexing
      ? ['Nothing is indexed yet', 'Indexing has begun: moments can be found as soon as the first '
        + 'video is in.']
      : ['Nothing is indexed yet', 'Index a folder of videos; the page notices by itself.',
        { command: `python tools/search.py index ~/Videos --index ${index}` }],
    failed: FAILED,
  }[state];
  if (says) {
    $('notice').dataset.of = 'server';
    notice(...says);
  } else if ($('notice').dataset.of === 'server') {
    delete $('notice').dataset.of;
    $('notice').hidden = true;
  }
}

/* ---- the player ---- */

const player = $('player');
const video = $('video');
let playing = ''; // id of the moment
let playable = null; // what the server says of it

async function showPlayer(id) {
  if (id === playing) return;
  const before = playing;
  playing = id;
  playable = null;
  video.removeAttribute('src'); // so that the connection ends
  video.load();
  if (!id) {
    if (player.open) player.close();
    const button = document.querySelector(`[data-id="${CSS.escape(before)}"]`);
    if (button) button.focus();
    return;
  }
  const moment = moments.find((other) => other.id === id);
  $('player-note').textContent = '';
  wait('Opening …');
  video.poster = `/api/clips/${id}/thumbnail`;
  if (moment) title(moment);
  else [$('player-name').textContent, $('player-time').textContent] = ['A moment', ''];
  const place = moments.indexOf(moment);
  $('player-before').disabled = place <= 0;
  $('player-next').disabled = place < 0 || (place === moments.length - 1 && !isMore);
  if (!player.open) player.showModal();
  $('stage').focus(); // where keys are ours, and not those of a button
  try {
    const found = await ask(`/api/clips/${id}`);
    if (playing !== id) return;
    title(found);
    playable = found;
    if (found.problem) wait(sentence(found.problem.message));
    else play(found.type !== null);
  } catch (error) {
    if (playing === id) wait(sentence(error.message));
  }
}

function title(moment) {
  $('player-name').textContent = moment.name;
  $('player-time').textContent = `${span(moment)} of ${clock(moment.duration)} · ${moment.folder}`;
}

function wait(text) {
  $('player-wait').hidden = !text;
  $('player-wait').textContent = text;
}

function play(asFile) {
  const moment = playable;
  video.dataset.as = asFile ? 'file' : 'moment';
  $('player-note').textContent = asFile ? '' : 'Browsers do not play this kind of file: this is '
    + 'the moment alone, converted.';
  if (!asFile) wait('Converting the moment …');
  video.src = asFile ? `${moment.file}#t=${moment.start}` : moment.moment;
  video.play().catch(() => {}); // where the browser wants a click first
}

video.addEventListener('loadedmetadata', () => {
  if (playable && video.dataset.as === 'file' && Math.abs(video.currentTime - playable.start) > 0.3) {
    video.currentTime = playable.start;
  }
});
video.addEventListener('canplay', () => wait(''));
video.addEventListener('error', async () => {
  if (!playable || !video.getAttribute('src')) return;
  if (video.dataset.as === 'file') return play(false);
  const response = await fetch(playable.moment).catch(() => null);
  if (!playable) return;
  wait(response && !response.ok ? sentence((await refusalOf(response)).message)
    : 'The browser cannot play this moment.');
});

function again() {
  if (!playable) return;
  video.currentTime = video.dataset.as === 'file' ? playable.start : 0;
  video.play().catch(() => {});
}

async function step(by) {
  const place = moments.findIndex((moment) => moment.id === playing) + by;
  if (place >= moments.length && isMore) await more();
  if (place < 0 || place >= moments.length) return;
  go({ play: moments[place].id }, true);
}

function close() {
  if (!playing) return;
  if (history.state && history.state.opened) history.back();
  else go({}, true);
}

function open(id) {
  history.pushState({ opened: true }, '', address({ ...wanted(), play: id }));
  render();
}

player.addEventListener('cancel', (event) => {
  event.preventDefault();
  close();
});
player.addEventListener('click', (event) => {
  if (event.target === player) close(); // beside it
});
$('player-close').addEventListener('click', close);
$('player-again').addEventListener('click', again);
$('player-before').addEventListener('click', () => step(-1));
$('player-next').addEventListener('click', () => step(1));
$('player-like').addEventListener('click', () => like(playing));

async function like(id) {
  scrollTo(0, 0);
  await go({ q: '', upload: '', clip: id });
  $('origin').focus(); // what had the focus has gone
}

/* ---- a video as the question ---- */

function upload(file) {
  if (!file) return;
  if (server && file.size > server.limits.upload_bytes) {
    notice('This video is too large', `The server takes ${Math.floor(server.limits.upload_bytes
      / 2 ** 20)} MiB at most; give a part of it.`);
    return;
  }
  const request = new XMLHttpRequest();
  request.open('POST', '/api/uploads');
  request.responseType = 'json';
  request.setRequestHeader('X-File-Name', encodeURIComponent(file.name).slice(0, 400));
  request.setRequestHeader('Content-Type', 'application/octet-stream');
  const say = (text) => notice(text, 'The video is read on the server, searched by, and not kept.');
  say(`Sending ${file.name} …`);
  request.upload.onprogress = (event) => say(
    event.loaded < event.total ? `Sending ${file.name}: ${10 * Math.floor(10 * event.loaded
      / event.total)} %` : `Reading ${file.name} …`);
  request.onerror = () => {
    notice('This video could not be sent', 'The server may be busy or gone, or it is no file but a '
      + 'folder: give one file, in a moment.');
    look();
  };
  request.onload = () => {
    if (request.status === 201 && request.response) {
      $('notice').hidden = true;
      go({ q: '', clip: '', upload: request.response.upload });
    } else {
      const said = request.response && request.response.error;
      notice('This video cannot be searched by', said ? sentence(said.message)
        : `The server answers ${request.status}.`);
    }
  };
  request.send(file);
}

let dragged = 0;
const holdsFile = (event) => event.dataTransfer && [...event.dataTransfer.types].includes('Files');
addEventListener('dragenter', (event) => {
  if (!holdsFile(event)) return;
  dragged += 1;
  (player.open ? player : document.body).append($('drop')); // nothing is above an open player
  $('drop').hidden = false;
});
addEventListener('dragleave', () => {
  dragged = Math.max(0, dragged - 1);
  $('drop').hidden = dragged === 0;
});
addEventListener('dragover', (event) => {
  if (holdsFile(event)) event.preventDefault();
});
addEventListener('drop', (event) => {
  if (!holdsFile(event)) return;
  event.preventDefault(); // a browser would leave the page and show the file
  close();
  dragged = 0;
  $('drop').hidden = true;
  upload(event.dataTransfer.files[0]);
});
$('by-video').addEventListener('click', () => $('file').click());
$('file').addEventListener('change', () => {
  upload($('file').files[0]);
  $('file').value = '';
});

/* ---- the field, the filters, the keys ---- */

let typing = false; // what is typed without a pause is one entry of the history
let pause = 0;

function submit() {
  clearTimeout(pause);
  const text = $('q').value;
  if (text.trim() || wanted().q) go({ q: text, clip: '', upload: '' }, typing === 'entered');
  if (typing) typing = 'entered';
}

$('q').addEventListener('input', () => {
  typing = typing || 'begun';
  clearTimeout(pause);
  pause = setTimeout(submit, PAUSE);
});
$('q').addEventListener('blur', () => { typing = false; });
$('form').addEventListener('submit', (event) => {
  event.preventDefault();
  submit();
  typing = false;
});
$('folder').addEventListener('change', () => go({ folder: $('folder').value }));
$('length').addEventListener('change', () => go({ length: $('length').value }));
$('one').addEventListener('change', () => go({ one: $('one').checked }));
$('origin-clear').addEventListener('click', () => {
  go({ clip: '', upload: '' });
  $('q').focus();
});
$('home').addEventListener('click', (event) => {
  event.preventDefault();
  go({ q: '', clip: '', upload: '', folder: '', length: '', one: false });
  $('q').focus();
});
$('more').addEventListener('click', () => more());
$('results').addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  if (button.dataset.like) like(button.dataset.like);
  else open(button.dataset.id);
});

function move(key) {
  const buttons = [...document.querySelectorAll('.play')];
  const at = document.activeElement.closest('.card');
  const here = at ? buttons.indexOf(at.querySelector('.play')) : -1;
  if (here < 0) {
    if (key === 'ArrowDown' && buttons.length) buttons[0].focus();
    return key === 'ArrowDown' && buttons.length > 0;
  }
  const tops = buttons.map((button) => button.getBoundingClientRect().top);
  const columns = Math.max(1, tops.filter((top) => Math.abs(top - tops[0]) < 5).length);
  const there = here + { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns,
    ArrowDown: columns }[key];
  if (there < 0) $('q').focus();
  else if (buttons[there]) buttons[there].focus();
  else if (isMore) more();
  return true;
}

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const inField = event.target.closest && event.target.closest('input, select, textarea');
  if (player.open) return keyInPlayer(event);
  if (event.key === '/' && !inField) {
    event.preventDefault();
    $('q').focus();
    $('q').select();
  } else if (event.key.startsWith('Arrow')) {
    const fromField = event.target === $('q') && event.key === 'ArrowDown';
    if ((fromField || !inField) && move(event.key)) event.preventDefault();
  } else if (event.key === 'Escape' && event.target === $('q')) {
    $('q').blur();
  }
});

function keyInPlayer(event) {
  const onButton = event.target.closest && event.target.closest('button');
  const act = {
    ' ': () => (video.paused ? video.play().catch(() => {}) : video.pause()),
    ArrowLeft: () => { video.currentTime = Math.max(0, video.currentTime - 5); },
    ArrowRight: () => { video.currentTime += 5; },
    ArrowUp: () => step(-1),
    ArrowDown: () => step(1),
    r: again,
  }[event.key];
  // what has the focus has keys of its own
  if (!act || (onButton && event.key === ' ')
    || (event.target === video && [' ', 'ArrowLeft', 'ArrowRight'].includes(event.key))) return;
  event.preventDefault();
  event.stopPropagation();
  act();
}

new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting) && isMore) more();
}, { rootMargin: '400px' }).observe($('more'));
addEventListener('popstate', render);
document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });

if (wanted().q === '' && matchMedia('(pointer: fine)').matches) $('q').focus();
look().then(render);
