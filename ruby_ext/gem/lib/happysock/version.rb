# frozen_string_literal: true

module HappySock
  VERSION = "0.1.0"
end
