// What JupyterHub's own pages give to scripts in them: RequireJS, its client of the hub's API, the page's data.

interface JHAPIOptions {
  success(): void;
  error(response: { responseJSON?: { message?: string } }): void;
}

interface JHAPIClass {
  new (baseUrl: string): { stop_server(user: string, options: JHAPIOptions): void };
}

declare function require(modules: ["jhapi"], run: (api: JHAPIClass) => void): void;

interface Window {
  jhdata: { base_url: string };
  _jupyterhub_page_loaded: boolean;
}
