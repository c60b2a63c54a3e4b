set :application, 'app'
set :repo_url, ENV['BENCH_GIT_URL']
set :branch, ENV['BENCH_REVISION']
set :deploy_to, '/srv/app'
set :linked_dirs, %w[log tmp]
set :keep_releases, 5
set :log_level, :info
namespace :deploy do
  task :restart do
    on roles(:app) do
      execute :sudo, :systemctl, :restart, 'worker@1', 'worker@2'
      execute :systemctl, 'is-active', '--quiet', 'worker@1', 'worker@2'
    end
  end
  after :publishing, :restart
end
